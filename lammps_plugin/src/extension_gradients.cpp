// Gradients of the operators of sphericart (SOAP-BPNN), which has them in Python only: without them
// torch runs such models and gives wrong forces.
//
// Values and derivatives come from one operator of the extension itself; here is only the product
// that a backward pass asks for.

#include "extension_gradients.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>
#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

namespace quorum {

namespace {

const char *const NAMESPACE = "sphericart_torch";
const char *const OPERATORS[] = {"spherical_harmonics", "solid_harmonics"};

// (points, 3) and the largest l to (points, (l + 1)^2).
class Harmonics : public torch::autograd::Function<Harmonics> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext *context, const torch::Tensor &xyz,
                               int64_t l_max, const std::string &name)
  {
    at::AutoDispatchBelowADInplaceOrView below;
    const auto both = c10::Dispatcher::singleton().findSchemaOrThrow(
        (name + "_with_gradients").c_str(), "");
    torch::jit::Stack stack = {xyz, l_max};
    both.callBoxed(stack);
    context->save_for_backward({stack.at(1).toTensor()});    // (points, 3, (l + 1)^2)
    return stack.at(0).toTensor();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                 torch::autograd::variable_list gradients)
  {
    const auto derivatives = context->get_saved_variables().at(0);
    return {(derivatives * gradients.at(0).unsqueeze(1)).sum(2), {}, {}};
  }
};

void call(const c10::OperatorHandle &handle, torch::jit::Stack *stack)
{
  const auto l_max = torch::jit::pop(*stack).toInt();
  const auto xyz = torch::jit::pop(*stack).toTensor();
  torch::jit::push(*stack, Harmonics::apply(xyz, l_max, handle.schema().name()));
}

}    // namespace

void register_extension_gradients()
{
  // for the life of the process, as the extensions themselves
  static auto *const libraries = new std::vector<std::unique_ptr<torch::Library>>();
  for (const std::string name : OPERATORS) {
    const auto found =
        c10::Dispatcher::singleton().findSchema({std::string(NAMESPACE) + "::" + name, ""});
    // no such extension, or somebody (Python, an earlier model) has seen to it
    if (!found || found->hasKernelForDispatchKey(c10::DispatchKey::AutogradCPU) ||
        found->hasKernelForDispatchKey(c10::DispatchKey::Autograd))
      continue;
    auto library = std::make_unique<torch::Library>(torch::Library::IMPL, NAMESPACE,
                                                    c10::DispatchKey::Autograd, __FILE__, __LINE__);
    library->impl(name.c_str(), torch::CppFunction::makeFromBoxedFunction<&call>());
    libraries->push_back(std::move(library));
  }
}

}    // namespace quorum
