// The attributes of a node, and the transposed convolution that they mean for shapes of its inputs. Both come
// from a file, so both are checked.
#pragma once

#include <optional>

#include "../plan.hpp"
#include "api.hpp"

namespace tconv::ort {

// Attributes by name, from a kernel or from shape inference; nothing where a node has none of that name and
// kind.
class Attributes {
 public:
  virtual ~Attributes() = default;
  virtual std::optional<int64_t> integer(const char* name) const = 0;
  virtual std::optional<std::vector<int64_t>> integers(const char* name) const = 0;
  virtual std::optional<double> number(const char* name) const = 0;
  virtual std::optional<std::vector<double>> numbers(const char* name) const = 0;
  virtual std::optional<std::string> text(const char* name) const = 0;
};

class KernelAttributes final : public Attributes {
 public:
  KernelAttributes(const Api& api, const KernelInfo* info) : api_(api), info_(info) {}
  std::optional<int64_t> integer(const char* name) const override;
  std::optional<std::vector<int64_t>> integers(const char* name) const override;
  std::optional<double> number(const char* name) const override;
  std::optional<std::vector<double>> numbers(const char* name) const override;
  std::optional<std::string> text(const char* name) const override;

 private:
  const Api& api_;
  const KernelInfo* info_;
};

class ShapeAttributes final : public Attributes {
 public:
  ShapeAttributes(const Api& api, const ShapeContext* context) : api_(api), context_(context) {}
  std::optional<int64_t> integer(const char* name) const override;
  std::optional<std::vector<int64_t>> integers(const char* name) const override;
  std::optional<double> number(const char* name) const override;
  std::optional<std::vector<double>> numbers(const char* name) const override;
  std::optional<std::string> text(const char* name) const override;

 private:
  template <class T> std::optional<std::vector<T>> read(const char* name, AttributeKind kind) const;
  const Api& api_;
  const ShapeContext* context_;
};

enum class AutoPad { notset, same_upper, same_lower, valid };

using Sizes = std::vector<int64_t>;

// A node's attributes. Lists that are empty were not written.
struct Layer {
  Sizes kernel, stride, dilation, pads, output_padding, output_shape;
  int64_t groups = 1;
  AutoPad auto_pad = AutoPad::notset;
  Activation activation = Activation::none;
  std::vector<double> numbers;  // of the activation
};

Layer read_layer(const Attributes& attributes);

// A layer for inputs of one shape. One to three axes; padding may be below zero, which extends the output.
struct Sized {
  int axes;
  int64_t batch, groups, in_channels, out_channels;  // channels of all groups
  Triple input, output, kernel, stride, dilation, lo, hi;

  Sizes output_shape() const;
};

// The layer for an input and weights of these shapes, as ONNX Runtime's own ConvTranspose reads them.
Sized sized(const Layer& layer, const Sizes& x, const Sizes& weight);

std::string shown(const Sizes& sizes);  // 1x3x8x8

}  // namespace tconv::ort
