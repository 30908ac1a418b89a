// The operator tconv::ConvTranspose in ONNX Runtime: one entry for each dtype, and the door by which a
// runtime asks for them.
#include <cstdlib>
#include <list>
#include <new>

#include "kernel.hpp"

namespace tconv::ort {
namespace {

struct Operator : CustomOp {
  const Api* api;
  Element element;
  DType dtype;
};

const Operator& own(const CustomOp* op) { return *static_cast<const Operator*>(op); }

struct Kind {
  Element element;
  DType dtype;
};
constexpr Kind kKinds[] = {
    {Element::f32, DType::f32},
    {Element::f16, DType::f16},
    {Element::f64, DType::f64},
    {Element::bf16, DType::bf16},
};

Status* create(const CustomOp* op, Table, const KernelInfo* info, void** kernel) {
  return guarded(*own(op).api, [&] { *kernel = new Kernel(*own(op).api, own(op).dtype, info); });
}

Status* infer(const CustomOp* op, ShapeContext* context) {
  const Api& api = *own(op).api;
  return guarded(api, [&] {
    int element = 0;
    const auto shape_of = [&](size_t index) {
      TensorInfo* info = nullptr;  // of the context, not to be released
      api.check(api.shape_input(context, index, &info));
      // ONNX Runtime asks one operator for those of all dtypes.
      if (info && index == 0) api.check(api.element(info, &element));
      return info ? api.shape(info) : Sizes{};
    };
    const Sizes x = shape_of(0), weight = shape_of(1);
    // An open size is below 1. Then nothing is said, and ONNX Runtime keeps what the file says.
    for (const Sizes* shape : {&x, &weight}) {
      if (shape->empty()) return;
      for (int64_t size : *shape)
        if (size < 1) return;
    }
    const Sizes output = sized(read_layer(ShapeAttributes(api, context)), x, weight).output_shape();
    TensorInfo* info = nullptr;
    api.check(api.create_tensor_info(&info));
    struct Owned {
      const Api& api;
      TensorInfo* info;
      ~Owned() { api.release_tensor_info(info); }
    } owned{api, info};
    api.check(api.set_element(info, element));
    api.check(api.set_dimensions(info, output.data(), output.size()));
    api.check(api.set_output_shape(context, 0, info));
  });
}

Operator make_operator(const Api& api, const Kind& kind, uint32_t version) {
  Operator op{};
  op.version = version;
  op.name = [](const CustomOp*) { return "ConvTranspose"; };
  op.provider = [](const CustomOp*) { return "CPUExecutionProvider"; };
  op.input_type = op.output_type = [](const CustomOp* self, size_t) { return own(self).element; };
  op.input_count = [](const CustomOp*) { return size_t{3}; };
  op.output_count = [](const CustomOp*) { return size_t{1}; };
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.input_characteristic = [](const CustomOp*, size_t index) { return index == 2 ? 1 : 0; };  // optional
  op.output_characteristic = [](const CustomOp*, size_t) { return 0; };
  op.input_memory = [](const CustomOp*, size_t) { return 0; };
  op.variadic_input_least = op.variadic_output_least = [](const CustomOp*) { return 1; };
  op.variadic_input_alike = op.variadic_output_alike = [](const CustomOp*) { return 1; };
  op.create_or_fail = create;
  op.compute_or_fail = [](void* kernel, Context* context) {
    Kernel& node = *static_cast<Kernel*>(kernel);
    return guarded(node.api(), [&] { node.run(context); });
  };
  op.infer_shape = infer;
  op.start_version = [](const CustomOp*) { return 1; };
  op.end_version = [](const CustomOp*) { return 1 << 30; };
  op.api = &api;
  op.element = kind.element;
  op.dtype = kind.dtype;
  return op;
}

// What one runtime was given. Sessions keep addresses in it, so it lives as long as the process.
struct Registration {
  Table table;
  Api api;
  std::list<Operator> operators;
};

const Registration& registration(Table table, uint32_t version) {
  static std::mutex& lock = *new std::mutex;
  static std::list<Registration>& all = *new std::list<Registration>;
  const std::lock_guard<std::mutex> guard(lock);
  for (const Registration& one : all)
    if (one.table == table) return one;
  Registration& made = all.emplace_back(Registration{table, Api(table), {}});
  for (const Kind& kind : kKinds) made.operators.push_back(make_operator(made.api, kind, version));
  return made;
}

// Whether a runtime's version is one whose table is as ours: 1.16 or later.
bool known(const char* version) {
  char* end = nullptr;
  const long major = std::strtol(version, &end, 10);
  return major == 1 && *end == '.' && std::strtol(end + 1, nullptr, 10) >= 16;
}

// A Status of a runtime that is too old for everything else.
Status* too_old(const ApiBase* base, const char* version) {
  using Create = Status* (*)(ErrorCode, const char*);
  const std::string why =
      std::string("tconv: ONNX Runtime ") + version + " is not known; 1.16 or a later 1.x would fit";
  for (uint32_t older = kVersion; older > 0; --older)
    if (const Table table = base->get(older))
      return reinterpret_cast<Create>(const_cast<void*>(table[0]))(ErrorCode::fail, why.c_str());
  return nullptr;
}

}  // namespace
}  // namespace tconv::ort

// What register_custom_ops_library calls.
extern "C" __attribute__((visibility("default"))) tconv::ort::Status* RegisterCustomOps(
    tconv::ort::SessionOptions* options, const tconv::ort::ApiBase* base) {
  using namespace tconv::ort;
  const char* version = base->version();
  const Table table = known(version) ? base->get(kVersion) : nullptr;
  if (!table) return too_old(base, version);
  const Table newer = base->get(kShapesVersion);
  const Registration& made = registration(newer ? newer : table, newer ? kShapesVersion : kVersion);
  return guarded(made.api, [&] {
    // A domain belongs to the options, and their operators to all of them.
    Domain* domain = nullptr;
    made.api.check(made.api.create_domain("tconv", &domain));
    for (const Operator& op : made.operators) made.api.check(made.api.add_operator(domain, &op));
    made.api.check(made.api.add_domain(options, domain));
  });
}
