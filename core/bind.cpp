// The Python bindings, except for plans (bind_plan.cpp). Pointers are passed as addresses or as objects with
// a buffer; tconv.ops and tconv.torch have already checked shapes, dtypes and contiguity.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>

#include "bind_plan.hpp"
#include "cpu.hpp"
#include "memory.hpp"
#include "run.hpp"
#include "table.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using tconv::Block;
using tconv::Runner;

// The address of an array's first number, valid during a call.
class Address {
 public:
  Address(nb::handle object, bool writable) {
    if (object.is_none()) return;
    if (PyLong_Check(object.ptr())) {
      pointer_ = PyLong_AsVoidPtr(object.ptr());
      if (!pointer_ && PyErr_Occurred()) throw nb::python_error();
      return;
    }
    const int flags = PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw nb::python_error();
    held_ = true;
    pointer_ = view_.buf;
  }
  ~Address() {
    if (held_) PyBuffer_Release(&view_);
  }
  Address(const Address&) = delete;
  Address& operator=(const Address&) = delete;
  void* get() const { return pointer_; }

 private:
  void* pointer_ = nullptr;
  Py_buffer view_{};
  bool held_ = false;
};

// Packed weights: opaque, owned by whoever prepared them.
struct Packed {
  Block block;
};

void run(const Runner& runner, nb::handle source, nb::handle weight, nb::handle bias, nb::handle target) {
  const Address s(source, false), b(bias, false), t(target, true);
  const Packed* packed = nullptr;
  if (nb::try_cast<const Packed*>(weight, packed) && packed) {
    if (static_cast<int64_t>(packed->block.bytes()) != runner.packed_bytes())
      throw std::invalid_argument("these weights were packed for another plan");
    nb::gil_scoped_release release;
    runner.run({s.get(), packed->block.as<void>(), nullptr, b.get(), t.get()});
    return;
  }
  const Address w(weight, false);
  nb::gil_scoped_release release;
  runner.run({s.get(), nullptr, w.get(), b.get(), t.get()});
}

Packed* pack(const Runner& runner, nb::handle weight) {
  const Address w(weight, false);
  auto packed = std::make_unique<Packed>(Packed{Block(static_cast<size_t>(runner.packed_bytes()))});
  nb::gil_scoped_release release;
  runner.pack(w.get(), packed->block.as<void>());
  return packed.release();
}

// A flat array of bytes whose memory is taken from the cache of blocks and returned to it.
nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>> empty(size_t bytes) {
  auto block = std::make_unique<Block>(bytes);
  nb::capsule owner(block.get(), [](void* p) noexcept { delete static_cast<Block*>(p); });
  return nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>(block.release()->as<void>(), {bytes}, owner);
}

// bfloat16 has no buffer and, in NumPy, no DLPack: its bits are passed as uint16.
nb::ndarray<nb::numpy, const uint16_t> bfloat16_bits(
    const nb::ndarray<nb::ro, nb::device::cpu, nb::c_contig>& array) {
  if (array.dtype() != nb::dlpack::dtype{static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1})
    throw nb::type_error("the array's dtype is not bfloat16");
  std::vector<size_t> shape(array.ndim());
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = array.shape(i);
  auto* keep = new nb::ndarray<nb::ro, nb::device::cpu, nb::c_contig>(array);
  nb::capsule owner(keep, [](void* p) noexcept {
    delete static_cast<nb::ndarray<nb::ro, nb::device::cpu, nb::c_contig>*>(p);
  });
  return {array.data(), shape.size(), shape.data(), owner};
}

nb::ndarray<nb::array_api> as_bfloat16(const nb::ndarray<uint16_t, nb::device::cpu, nb::c_contig>& bits) {
  std::vector<size_t> shape(bits.ndim());
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = bits.shape(i);
  auto* keep = new nb::ndarray<uint16_t, nb::device::cpu, nb::c_contig>(bits);
  nb::capsule owner(keep, [](void* p) noexcept {
    delete static_cast<nb::ndarray<uint16_t, nb::device::cpu, nb::c_contig>*>(p);
  });
  return nb::ndarray<nb::array_api>(
      bits.data(), shape.size(), shape.data(), owner, nullptr,
      nb::dlpack::dtype{static_cast<uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1});
}

// The register tiles that exist, for planning: [(rows, vectors), ...], for dot products [(rows, columns),
// ...], and how many numbers a vector holds.
template <class T> nb::dict describe(const tconv::KernelSet<T>& set) {
  nb::list tiles;
  for (int rows = 1; rows <= set.kMaxRows; ++rows)
    for (int vectors = 1; vectors <= set.kMaxVectors; ++vectors)
      if (set.tile[rows][vectors]) tiles.append(nb::make_tuple(rows, vectors));
  nb::list dots;
  for (int rows = 1; rows <= set.kMaxDotRows; ++rows)
    for (int columns = 1; columns <= set.kMaxDotColumns; ++columns)
      if (set.dots[rows][columns]) dots.append(nb::make_tuple(rows, columns));
  nb::dict out;
  out["dots"] = nb::tuple(dots);
  out["lanes"] = set.lanes;
  out["tiles"] = nb::tuple(tiles);
  nb::list matrices;  // the same in matrix registers of 16 x 16, where the CPU has them
  for (int height = 1; height <= set.matrix.kMost; ++height)
    for (int width = 1; width <= set.matrix.kMost; ++width)
      if (set.matrix.tile[1][height][width]) matrices.append(nb::make_tuple(height, width));
  out["matrices"] = nb::tuple(matrices);
  return out;
}

nb::dict instruction_sets() {
  nb::dict out;
  for (const tconv::IsaKernels& kernels : tconv::isa_kernels()) {
    nb::dict one;
    one["f32"] = describe(*kernels.f32);
    one["f64"] = describe(*kernels.f64);
    out[kernels.isa] = one;
  }
  return out;
}

}  // namespace

NB_MODULE(_core, m) {
  // Plans are cached for the life of the process, which is not a leak to report at its end.
  nb::set_leak_warnings(false);
  m.doc() = "Loops that obey a plan. Nothing here decides or checks: see tconv.planning and tconv.ops.";
  nb::class_<Packed>(m, "Packed", "Weights in the order in which a plan reads them.")
      .def_prop_ro("nbytes", [](const Packed& p) { return p.block.bytes(); });
  tconv::bind_plan(m);
  nb::class_<Runner>(m, "Runner", "A plan made ready to run.")
      .def(nb::init<const tconv::Plan&>(), "plan"_a)
      .def_prop_ro(
          "kernel", [](const Runner& r) { return tconv::kernel_name(r.plan()); }, "Name of the kernel.")
      .def_prop_ro("workspace_bytes", &Runner::workspace_bytes, "Scratch memory of each thread.")
      .def_prop_ro("shared_bytes", &Runner::shared_bytes, "Scratch memory of all threads together.")
      .def_prop_ro("packed_bytes", &Runner::packed_bytes,
                   "Size of the packed weights; 0 if they are read as they are.")
      .def("pack", &pack, "weight"_a, "Packs a weight array once, for many runs.")
      .def("run", &run, "source"_a, "weight"_a, "bias"_a.none(), "target"_a,
           "Runs the map. Each argument is an address or a contiguous buffer; weight may be Packed.");
  m.def("empty", &empty, "nbytes"_a, nb::sig("def empty(nbytes: int) -> numpy.typing.NDArray[numpy.uint8]"),
        "An uninitialised array of bytes from the cache of blocks.");
  m.def("bfloat16_bits", &bfloat16_bits, "array"_a,
        nb::sig("def bfloat16_bits(array: typing.Any) -> numpy.typing.NDArray[numpy.uint16]"),
        "The bits of a contiguous bfloat16 array that speaks DLPack.");
  m.def("as_bfloat16", &as_bfloat16, "bits"_a,
        nb::sig("def as_bfloat16(bits: numpy.typing.NDArray[numpy.uint16]) -> typing.Any"),
        "The same memory as an array of bfloat16 that speaks DLPack.");
  m.def("empty_cache", &tconv::empty_cache, "Gives all kept blocks of memory back to the system.");
  m.def("cached_bytes", &tconv::cached_bytes, "Bytes kept for the next call.");
  m.def("instruction_sets", &instruction_sets,
        nb::sig("def instruction_sets() -> dict[str, dict[str, typing.Any]]"),
        "What this CPU runs, best first.");
  m.def(
      "cpu_name",
      [] {
        const tconv::CpuName cpu = tconv::cpu_name();
        return nb::make_tuple(nb::bytes(cpu.vendor.data(), cpu.vendor.size()), cpu.family, cpu.model,
                              nb::bytes(cpu.name.data(), cpu.name.size()));
      },
      nb::sig("def cpu_name() -> tuple[bytes, int, int, bytes]"),
      "Vendor, family, model and name of an x86 CPU; of others empty.");
  m.def("get_num_threads", &tconv::num_threads, "Threads that a run uses.");
  m.def(
      "set_team",
      [](uintptr_t parallel, uintptr_t most) {
        tconv::set_team({reinterpret_cast<decltype(tconv::Team::parallel)>(parallel),
                         reinterpret_cast<decltype(tconv::Team::most)>(most)});
      },
      "parallel"_a, "most"_a,
      "Runs on a framework's OpenMP team: addresses of GOMP_parallel and omp_get_max_threads; 0, 0 ends it.");
  m.def("set_num_threads", &tconv::set_num_threads, "count"_a, "Sets the threads that a run uses.");
}
