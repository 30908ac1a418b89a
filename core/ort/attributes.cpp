// Attributes, read through the two doors that ONNX Runtime has for them.
#include "layer.hpp"

namespace tconv::ort {
namespace {

constexpr size_t kMost = 1 << 12;  // numbers of a list, characters of a text

template <class T> std::vector<double> widened(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

// A list is read in two steps: its length, then its numbers.
template <class T, class Read>
std::optional<std::vector<T>> list(const Api& api, const char* name, Read read) {
  size_t count = 0;
  if (!api.succeeds(read(nullptr, &count))) return std::nullopt;
  if (count > kMost) throw Refusal(std::string("tconv: ") + name + " is too long");
  std::vector<T> values(count);
  if (count) api.check(read(values.data(), &count));
  return values;
}

}  // namespace

std::optional<int64_t> KernelAttributes::integer(const char* name) const {
  int64_t value = 0;
  return api_.succeeds(api_.integer_attribute(info_, name, &value)) ? std::optional(value) : std::nullopt;
}

std::optional<std::vector<int64_t>> KernelAttributes::integers(const char* name) const {
  return list<int64_t>(api_, name, [&](int64_t* values, size_t* count) {
    return api_.integers_attribute(info_, name, values, count);
  });
}

std::optional<double> KernelAttributes::number(const char* name) const {
  float value = 0;
  if (!api_.succeeds(api_.number_attribute(info_, name, &value))) return std::nullopt;
  return static_cast<double>(value);
}

std::optional<std::vector<double>> KernelAttributes::numbers(const char* name) const {
  const auto found = list<float>(api_, name, [&](float* values, size_t* count) {
    return api_.numbers_attribute(info_, name, values, count);
  });
  return found ? std::optional(widened(*found)) : std::nullopt;
}

std::optional<std::string> KernelAttributes::text(const char* name) const {
  const auto found = list<char>(api_, name, [&](char* values, size_t* count) {
    return api_.text_attribute(info_, name, values, count);
  });
  return found ? std::optional(std::string(found->data())) : std::nullopt;  // it ends with a zero
}

template <class T>
std::optional<std::vector<T>> ShapeAttributes::read(const char* name, AttributeKind kind) const {
  const Attribute* attribute = nullptr;
  if (!api_.succeeds(api_.shape_attribute(context_, name, &attribute)) || !attribute) return std::nullopt;
  std::vector<T> values(kMost);
  size_t bytes = 0;
  const size_t most = values.size() * sizeof(T);
  if (!api_.succeeds(api_.read_attribute(attribute, kind, values.data(), most, &bytes))) return std::nullopt;
  values.resize(std::min(bytes, most) / sizeof(T));
  return values;
}

std::optional<int64_t> ShapeAttributes::integer(const char* name) const {
  const auto found = read<int64_t>(name, AttributeKind::integer);
  return found && found->size() == 1 ? std::optional((*found)[0]) : std::nullopt;
}

std::optional<std::vector<int64_t>> ShapeAttributes::integers(const char* name) const {
  return read<int64_t>(name, AttributeKind::integers);
}

std::optional<double> ShapeAttributes::number(const char* name) const {
  const auto found = read<float>(name, AttributeKind::number);
  return found && found->size() == 1 ? std::optional<double>((*found)[0]) : std::nullopt;
}

std::optional<std::vector<double>> ShapeAttributes::numbers(const char* name) const {
  const auto found = read<float>(name, AttributeKind::numbers);
  return found ? std::optional(widened(*found)) : std::nullopt;
}

std::optional<std::string> ShapeAttributes::text(const char* name) const {
  const auto found = read<char>(name, AttributeKind::text);
  if (!found) return std::nullopt;
  const std::string text(found->begin(), found->end());
  return text.substr(0, text.find('\0'));
}

}  // namespace tconv::ort
