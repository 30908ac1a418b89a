#include "layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tconv::ort {
namespace {

constexpr int64_t kMostNumber = int64_t{1} << 20;  // of an attribute
constexpr int64_t kMostSize = int64_t{1} << 40;    // of an axis, and of all axes together

[[noreturn]] void refuse(const std::string& why) { throw Refusal("tconv::ConvTranspose: " + why); }

bool missing(const std::optional<int64_t>& found) { return !found; }
bool missing(const std::optional<double>& found) { return !found; }
// ONNX Runtime gives an empty list or text also for an attribute of another kind.
template <class T> bool missing(const std::optional<T>& found) { return !found || found->empty(); }

// What is read as one kind and exists as another is an error, not a default.
template <class T>
std::optional<T> expected(const Attributes& attributes, const char* name, std::optional<T> found) {
  if (missing(found) && !(missing(attributes.integer(name)) && missing(attributes.integers(name)) &&
                          missing(attributes.number(name)) && missing(attributes.numbers(name)) &&
                          missing(attributes.text(name))))
    refuse(std::string(name) + " is an attribute of another kind");
  return found;
}

Sizes read_sizes(const Attributes& attributes, const char* name, int64_t least) {
  const auto found = expected(attributes, name, attributes.integers(name));
  if (!found) return {};
  for (int64_t number : *found)
    if (number < least || number > kMostNumber)
      refuse(std::string(name) + " has " + std::to_string(number) + "; " + std::to_string(least) + " to " +
             std::to_string(kMostNumber) + " would fit");
  return *found;
}

AutoPad read_auto_pad(const Attributes& attributes) {
  const auto said = expected(attributes, "auto_pad", attributes.text("auto_pad"));
  if (!said || *said == "NOTSET") return AutoPad::notset;
  if (*said == "SAME_UPPER") return AutoPad::same_upper;
  if (*said == "SAME_LOWER") return AutoPad::same_lower;
  if (*said == "VALID") return AutoPad::valid;
  refuse("auto_pad is unknown; NOTSET, SAME_UPPER, SAME_LOWER or VALID would fit");
}

// A layer may have so many channels that a slope for each fits into an attribute.
constexpr size_t kMostSlopes = size_t{1} << 20;

struct Named {
  const char* name;  // as ONNX calls the operator
  Activation activation;
  size_t least, most;  // numbers
};
constexpr Named kActivations[] = {
    {"Relu", Activation::relu, 0, 0},
    {"LeakyRelu", Activation::leaky_relu, 1, 1},
    {"PRelu", Activation::prelu, 1, kMostSlopes},
    {"Clip", Activation::clamp, 2, 2},
    {"Tanh", Activation::tanh, 0, 0},
    {"Sigmoid", Activation::sigmoid, 0, 0},
    {"Gelu", Activation::gelu, 0, 0},
    {"GeluTanh", Activation::gelu_tanh, 0, 0},
    {"Silu", Activation::silu, 0, 0},
    {"Elu", Activation::elu, 1, 1},
    {"HardSwish", Activation::hardswish, 0, 0},
    {"Softplus", Activation::softplus, 0, 0},
    {"Mish", Activation::mish, 0, 0},
};

void read_activation(const Attributes& attributes, Layer& layer) {
  const auto said = expected(attributes, "activation", attributes.text("activation"));
  const auto numbers = expected(attributes, "activation_params", attributes.numbers("activation_params"));
  layer.numbers = numbers.value_or(std::vector<double>{});
  const size_t count = layer.numbers.size();
  Named found{"", Activation::none, 0, 0};
  if (said && !said->empty()) {
    std::string known;
    for (const Named& each : kActivations) {
      if (*said == each.name) found = each;
      known += (known.empty() ? "" : ", ") + std::string(each.name);
    }
    if (found.activation == Activation::none) refuse("activation is unknown; one of " + known + " would fit");
  }
  if (count < found.least || count > found.most)
    refuse("activation_params has " + std::to_string(count) + " numbers; " + std::to_string(found.least) +
           (found.least < found.most ? " or more would fit" : " would fit"));
  layer.activation = found.activation;
  const std::vector<double>& given = layer.numbers;
  if (layer.activation == Activation::clamp && !(given[0] <= given[1]))
    refuse("activation_params: the lower bound must not exceed the upper one");
  if (layer.activation == Activation::softplus) layer.numbers = {1, std::numeric_limits<double>::infinity()};
  // One slope for all channels.
  if (layer.activation == Activation::prelu && count == 1) layer.activation = Activation::leaky_relu;
}

// What `axis` of a list says, or a default where the list was not written.
int64_t entry(const Sizes& list, size_t axis, int64_t otherwise) {
  return list.empty() ? otherwise : list[axis];
}

void check_length(const char* name, const Sizes& list, size_t length) {
  if (!list.empty() && list.size() != length)
    refuse(std::string(name) + " has " + std::to_string(list.size()) + " numbers; " + std::to_string(length) +
           " would fit");
}

}  // namespace

std::string shown(const Sizes& sizes) {
  std::string text;
  for (int64_t size : sizes) {
    if (!text.empty()) text += 'x';
    text += std::to_string(size);
  }
  return text.empty() ? "()" : text;
}

Layer read_layer(const Attributes& attributes) {
  Layer layer;
  layer.kernel = read_sizes(attributes, "kernel_shape", 1);
  layer.stride = read_sizes(attributes, "strides", 1);
  layer.dilation = read_sizes(attributes, "dilations", 1);
  layer.pads = read_sizes(attributes, "pads", 0);
  layer.output_padding = read_sizes(attributes, "output_padding", 0);
  layer.output_shape = read_sizes(attributes, "output_shape", 1);
  layer.groups = expected(attributes, "group", attributes.integer("group")).value_or(1);
  if (layer.groups < 1 || layer.groups > kMostNumber) refuse("group must be 1 or more");
  layer.auto_pad = read_auto_pad(attributes);
  read_activation(attributes, layer);
  return layer;
}

Sized sized(const Layer& layer, const Sizes& x, const Sizes& weight) {
  const size_t axes = weight.size() - 2;
  if (weight.size() < 3 || weight.size() > 5)
    refuse("weights of shape " + shown(weight) + "; in, out/groups and 1 to 3 kernel sizes would fit");
  if (x.size() != weight.size())
    refuse("an input of shape " + shown(x) + " for weights of shape " + shown(weight));
  for (const Sizes* shape : {&x, &weight}) {
    int64_t all = 1;
    for (int64_t size : *shape) {
      if (size < 0 || size > kMostSize || (size && all > kMostSize / size))
        refuse("a shape of " + shown(*shape) + " is too large");
      all *= std::max<int64_t>(size, 1);
    }
  }
  if (x[1] != weight[0] || x[1] % layer.groups || !x[1] || !weight[1])
    refuse("an input of " + std::to_string(x[1]) + " channels for weights of shape " + shown(weight) +
           " in " + std::to_string(layer.groups) + " groups");
  check_length("kernel_shape", layer.kernel, axes);
  check_length("strides", layer.stride, axes);
  check_length("dilations", layer.dilation, axes);
  check_length("pads", layer.pads, 2 * axes);
  check_length("output_padding", layer.output_padding, axes);
  Sizes output_shape = layer.output_shape;
  // It may be written with the batch and the channels before the sizes.
  if (output_shape.size() == axes + 2) output_shape.erase(output_shape.begin(), output_shape.begin() + 2);
  check_length("output_shape", output_shape, axes);

  const Triple ones = {1, 1, 1};
  Sized out{static_cast<int>(axes),
            x[0],
            layer.groups,
            x[1],
            weight[1] * layer.groups,
            ones,
            ones,
            ones,
            ones,
            ones,
            {},
            {}};
  if (weight[1] > kMostSize / layer.groups) refuse("too many channels");
  if (layer.activation == Activation::prelu && static_cast<int64_t>(layer.numbers.size()) != out.out_channels)
    refuse("activation_params has " + std::to_string(layer.numbers.size()) +
           " numbers; 1, or one for each channel of the output, would fit");
  int64_t all = std::max<int64_t>(out.batch, 1) * out.out_channels;
  if (all > kMostSize) refuse("too large an output");
  for (size_t a = 0; a < axes; ++a) {
    const size_t at = 3 - axes + a;
    const int64_t i = out.input[at] = x[2 + a], k = out.kernel[at] = weight[2 + a];
    const int64_t s = out.stride[at] = entry(layer.stride, a, 1);
    const int64_t d = out.dilation[at] = entry(layer.dilation, a, 1);
    if (k < 1 || k > kMostNumber || entry(layer.kernel, a, k) != k)
      refuse("kernel_shape " + shown(layer.kernel) + " and weights of shape " + shown(weight));
    if (i < 1) refuse("an input of shape " + shown(x) + "; sizes of 1 or more would fit");
    const int64_t full = (i - 1) * s + (k - 1) * d + 1 + entry(layer.output_padding, a, 0);
    const bool same = layer.auto_pad == AutoPad::same_upper || layer.auto_pad == AutoPad::same_lower;
    int64_t lo = 0, size = full;
    if (!output_shape.empty() || same) {
      size = output_shape.empty() ? std::min(i * s, full) : output_shape[a];
      const int64_t cropped = std::max<int64_t>(full - size, 0);
      lo = layer.auto_pad == AutoPad::same_upper ? cropped / 2 : cropped - cropped / 2;
    } else if (layer.auto_pad == AutoPad::notset) {
      lo = entry(layer.pads, a, 0);
      size = full - lo - entry(layer.pads, axes + a, 0);
    }
    if (size < 1) refuse("nothing is left of an input of shape " + shown(x) + " after its pads");
    if (size > kMostSize || all > kMostSize / size) refuse("too large an output");
    all *= size;
    out.output[at] = size;
    out.lo[at] = lo;
    out.hi[at] = (i - 1) * s + (k - 1) * d + 1 - lo - size;  // below zero where the output is extended
  }
  return out;
}

Sizes Sized::output_shape() const {
  Sizes shape = {batch, out_channels};
  shape.insert(shape.end(), output.end() - axes, output.end());
  return shape;
}

}  // namespace tconv::ort
