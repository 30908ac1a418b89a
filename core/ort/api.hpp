// The part of ONNX Runtime's C interface that the operator uses, in our own declarations.
//
// The interface is a table of functions that only grows at its end: an index keeps its meaning in all later
// versions. tests/onnx/engine/test_interface.py exercises every index below in the installed runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tconv::ort {

// ONNX Runtime's own objects, known by their addresses alone.
struct Status;
struct SessionOptions;
struct Domain;
struct KernelInfo;
struct Context;
struct Value;
struct TensorInfo;
struct ShapeContext;
struct Attribute;

using Table = const void* const*;

struct ApiBase {
  Table (*get)(uint32_t version);  // null: this runtime does not have that version
  const char* (*version)();
};

constexpr uint32_t kVersion = 16;        // the oldest version that is asked for: errors as Status
constexpr uint32_t kShapesVersion = 17;  // from which an operator may infer shapes

enum class Element : int { f32 = 1, f16 = 10, f64 = 11, bf16 = 16 };
enum class ErrorCode : int { fail = 1, invalid_argument = 2 };
enum class AttributeKind : int { integer = 1, integers = 2, number = 3, numbers = 4, text = 5 };

// What a caller gets as a Status of one line.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Api {
  explicit Api(Table table);

  Status* (*create_status)(ErrorCode, const char* message);
  const char* (*message)(const Status*);
  Status* (*create_domain)(const char* name, Domain**);
  Status* (*add_operator)(Domain*, const void* op);
  Status* (*add_domain)(SessionOptions*, Domain*);
  Status* (*mutable_data)(Value*, void**);
  Status* (*create_tensor_info)(TensorInfo**);
  Status* (*set_element)(TensorInfo*, int element);
  Status* (*set_dimensions)(TensorInfo*, const int64_t*, size_t);
  Status* (*element)(const TensorInfo*, int* element);
  Status* (*dimensions_count)(const TensorInfo*, size_t*);
  Status* (*dimensions)(const TensorInfo*, int64_t*, size_t);
  Status* (*tensor_info)(const Value*, TensorInfo**);
  Status* (*number_attribute)(const KernelInfo*, const char* name, float*);
  Status* (*integer_attribute)(const KernelInfo*, const char* name, int64_t*);
  Status* (*text_attribute)(const KernelInfo*, const char* name, char*, size_t*);
  Status* (*input_count)(const Context*, size_t*);
  Status* (*input)(const Context*, size_t, const Value**);
  Status* (*output)(Context*, size_t, const int64_t* dimensions, size_t, Value**);
  void (*release_status)(Status*);
  void (*release_tensor_info)(TensorInfo*);
  Status* (*numbers_attribute)(const KernelInfo*, const char* name, float*, size_t*);
  Status* (*integers_attribute)(const KernelInfo*, const char* name, int64_t*, size_t*);
  Status* (*constant_input)(const KernelInfo*, size_t, int* constant, const Value**);
  Status* (*shape_input_count)(const ShapeContext*, size_t*);
  Status* (*shape_input)(const ShapeContext*, size_t, TensorInfo**);
  Status* (*shape_attribute)(const ShapeContext*, const char* name, const Attribute**);
  Status* (*set_output_shape)(const ShapeContext*, size_t, const TensorInfo*);
  Status* (*read_attribute)(const Attribute*, AttributeKind, void*, size_t bytes, size_t* needed);
  Status* (*parallel_for)(const Context*, void (*task)(void*, size_t), size_t count, size_t batches, void*);

  bool succeeds(Status* status) const;  // releases an error
  void check(Status* status) const;     // throws an error as a Refusal
  std::vector<int64_t> shape(const Value* value) const;
  std::vector<int64_t> shape(const TensorInfo* info) const;
};

// The table by which an operator describes itself. Fields up to compute_or_fail are those of version 16, the
// others of version 17.
struct CustomOp {
  uint32_t version;
  void* (*create)(const CustomOp*, Table, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  Element (*input_type)(const CustomOp*, size_t);
  size_t (*input_count)(const CustomOp*);
  Element (*output_type)(const CustomOp*, size_t);
  size_t (*output_count)(const CustomOp*);
  void (*compute)(void*, Context*);
  void (*destroy)(void*);
  int (*input_characteristic)(const CustomOp*, size_t);
  int (*output_characteristic)(const CustomOp*, size_t);
  int (*input_memory)(const CustomOp*, size_t);
  int (*variadic_input_least)(const CustomOp*);
  int (*variadic_input_alike)(const CustomOp*);
  int (*variadic_output_least)(const CustomOp*);
  int (*variadic_output_alike)(const CustomOp*);
  Status* (*create_or_fail)(const CustomOp*, Table, const KernelInfo*, void**);
  Status* (*compute_or_fail)(void*, Context*);
  Status* (*infer_shape)(const CustomOp*, ShapeContext*);
  int (*start_version)(const CustomOp*);
  int (*end_version)(const CustomOp*);
};

// Calls `body`, and returns what it throws as a Status: no exception may cross the C interface.
template <class Body> Status* guarded(const Api& api, Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Refusal& refusal) {
    return api.create_status(ErrorCode::invalid_argument, refusal.what());
  } catch (const std::bad_alloc&) {
    return api.create_status(ErrorCode::fail, "tconv: not enough memory");
  } catch (const std::exception& error) {
    return api.create_status(ErrorCode::fail, error.what());
  } catch (...) {
    return api.create_status(ErrorCode::fail, "tconv: an unknown error");
  }
}

}  // namespace tconv::ort
