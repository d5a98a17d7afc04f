"""The driver that i-PI loads by path: a committee in i-PI's own process.

::

    <ffdirect name='committee'>
      <pes>custom</pes> <pes_path>…/quorum_ipi_pes.py</pes_path>
      <parameters>{model: model.pt, template: start.xyz, device: cpu}</parameters>
    </ffdirect>

or ``i-pi-driver-py -u -a ADDRESS -m custom -P …/quorum_ipi_pes.py -o model=model.pt,template=…``.
`PesOptions` lists the parameters. With ``<batch_size>B</batch_size>`` B replicas go to the model
in one call.

i-PI imports this file under its stem, outside the package, hence absolute imports only and a name
that no other module has.
"""

from collections.abc import Mapping
from typing import Any

from quorum_md.engines.ipi_driver import PathDriver
from quorum_md.engines.ipi_model import IpiModel, PesOptions

__DRIVER_NAME__ = "quorum"
__DRIVER_CLASS__ = "QuorumDriver"


class QuorumDriver(PathDriver):
    """A committee potential; the arguments are those of `PesOptions`."""

    example = "model=model.pt,template=structure.xyz"

    def open(self, parameters: Mapping[str, Any]) -> IpiModel:
        """The model."""
        return IpiModel(PesOptions.from_parameters(parameters, "quorum_ipi_pes"))
