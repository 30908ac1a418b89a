#include "api.hpp"

namespace tconv::ort {
namespace {

// Indices into the table, as the public header orders its functions.
template <class Function> void at(Table table, size_t index, Function& function) {
  function = reinterpret_cast<Function>(const_cast<void*>(table[index]));
}

}  // namespace

Api::Api(Table table) {
  at(table, 0, create_status);
  at(table, 2, message);
  at(table, 26, create_domain);
  at(table, 27, add_operator);
  at(table, 28, add_domain);
  at(table, 51, mutable_data);
  at(table, 57, create_tensor_info);
  at(table, 58, set_element);
  at(table, 59, set_dimensions);
  at(table, 60, element);
  at(table, 61, dimensions_count);
  at(table, 62, dimensions);
  at(table, 65, tensor_info);
  at(table, 85, number_attribute);
  at(table, 86, integer_attribute);
  at(table, 87, text_attribute);
  at(table, 88, input_count);
  at(table, 90, input);
  at(table, 91, output);
  at(table, 93, release_status);
  at(table, 99, release_tensor_info);
  at(table, 162, numbers_attribute);
  at(table, 163, integers_attribute);
  at(table, 249, constant_input);
  at(table, 267, shape_input_count);
  at(table, 268, shape_input);
  at(table, 269, shape_attribute);
  at(table, 270, set_output_shape);
  at(table, 272, read_attribute);
  at(table, 274, parallel_for);
}

bool Api::succeeds(Status* status) const {
  if (status) release_status(status);
  return !status;
}

void Api::check(Status* status) const {
  if (!status) return;
  const std::string said = message(status);
  release_status(status);
  throw Refusal("tconv: ONNX Runtime: " + said);
}

std::vector<int64_t> Api::shape(const TensorInfo* info) const {
  size_t count = 0;
  check(dimensions_count(info, &count));
  std::vector<int64_t> sizes(count);
  check(dimensions(info, sizes.data(), count));
  return sizes;
}

std::vector<int64_t> Api::shape(const Value* value) const {
  TensorInfo* info = nullptr;
  check(tensor_info(value, &info));
  struct Owned {
    const Api& api;
    TensorInfo* info;
    ~Owned() { api.release_tensor_info(info); }
  } owned{*this, info};
  return shape(info);
}

}  // namespace tconv::ort
