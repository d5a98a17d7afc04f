"""The driver that i-PI loads by path for a bias: order parameters of a PLUMED input.

::

    <ffdirect name='bias'>
      <pes>custom</pes> <pes_path>…/quorum_ipi_bias.py</pes_path>
      <parameters>{plumed: plumed.dat, template: start.xyz}</parameters>
    </ffdirect>
    …
    <ensemble> … <bias> <force forcefield='bias'/> </bias> </ensemble>

`BiasOptions` lists the parameters. The values come out in the same step by
``<trajectory filename='cv' extra_type='cv.mean,res.bias'> extras_bias </trajectory>``.

i-PI imports this file under its stem, outside the package, hence absolute imports only and a name
that no other module has.
"""

from collections.abc import Mapping
from typing import Any

from quorum_md.engines.ipi_bias import BiasOptions, IpiBias
from quorum_md.engines.ipi_driver import PathDriver

__DRIVER_NAME__ = "quorum_bias"
__DRIVER_CLASS__ = "QuorumBias"


class QuorumBias(PathDriver):
    """The bias of a PLUMED input; the arguments are those of `BiasOptions`."""

    example = "plumed=plumed.dat,template=structure.xyz"

    def open(self, parameters: Mapping[str, Any]) -> IpiBias:
        """The input."""
        return IpiBias(BiasOptions.from_parameters(parameters, "quorum_ipi_bias"))
