#include "bind_plan.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "plan.hpp"

namespace nb = nanobind;
using namespace nb::literals;

// An array of 3 or 4 integers is a tuple in Python.
template <size_t count> struct nb::detail::type_caster<std::array<int64_t, count>> {
  static_assert(count == 3 || count == 4);
  using Numbers = std::array<int64_t, count>;
  NB_TYPE_CASTER(Numbers, const_name<count == 3>("tuple[int, int, int]", "tuple[int, int, int, int]"))

  bool from_python(handle from, uint8_t, cleanup_list*) noexcept {
    if (!PyTuple_Check(from.ptr()) || PyTuple_Size(from.ptr()) != static_cast<Py_ssize_t>(count))
      return false;
    for (size_t i = 0; i < count; ++i) {
      value[i] = PyLong_AsLongLong(PyTuple_GetItem(from.ptr(), static_cast<Py_ssize_t>(i)));
      if (value[i] == -1 && PyErr_Occurred()) return PyErr_Clear(), false;
    }
    return true;
  }
  static handle from_cpp(const Numbers& numbers, rv_policy, cleanup_list*) noexcept {
    PyObject* made = PyTuple_New(static_cast<Py_ssize_t>(count));
    for (size_t i = 0; made && i < count; ++i)
      PyTuple_SetItem(made, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(numbers[i]));
    return made;
  }
};

namespace tconv {
namespace {

template <class T, class Value> struct Field {
  const char* name;
  Value T::* member;
  const char* doc;
};

template <class Value> auto argument(const char* name) {
  if constexpr (std::is_same_v<Value, Part>) return nb::arg(name).none();
  else return nb::arg(name);
}

// Binds a struct as a class: its constructor takes all fields by name, and they are read-only.
template <class T, class... Value>
void record(nb::module_& m, const char* name, const char* doc, Field<T, Value>... fields) {
  nb::class_<T> made(m, name, doc);
  made.def(
      "__init__",
      [fields...](T* self, Value... values) {
        new (self) T{};
        ((self->*fields.member = std::move(values)), ...);
      },
      nb::kw_only(), argument<Value>(fields.name)...);
  (made.def_ro(fields.name, fields.member, fields.doc), ...);
  const std::string replaced = std::string("def replace(self, **changes: typing.Any) -> ") + name;
  made.def(
      "replace",
      [fields...](const T& self, const nb::kwargs& changes) {
        T changed = self;
        size_t known = 0;
        const auto set = [&](const auto& field) {
          if (!changes.contains(field.name)) return;
          changed.*field.member =
              nb::cast<std::decay_t<decltype(changed.*field.member)>>(changes[field.name]);
          ++known;
        };
        (set(fields), ...);
        if (known != changes.size()) throw nb::type_error("a field of this name is unknown");
        return changed;
      },
      nb::sig(replaced.c_str()), "A copy with other values in the fields named.");
  made.def("__repr__", [fields...](nb::handle self) {
    nb::list told;
    (told.append(nb::str("{}={!r}").format(fields.name, self.attr(fields.name))), ...);
    return nb::str("{}({})").format(self.type().attr("__name__"), nb::str(", ").attr("join")(told));
  });
}

template <class Enum>
void words(nb::module_& m, const char* name, const char* doc,
           std::initializer_list<std::pair<const char*, Enum>> values) {
  nb::enum_<Enum> made(m, name, doc);
  for (const auto& [word, value] : values) made.value(word, value);
}

}  // namespace

void bind_plan(nb::module_& m) {
  words<DType>(m, "DType", "Types of numbers.",
               {{"f32", DType::f32},
                {"f64", DType::f64},
                {"f16", DType::f16},
                {"bf16", DType::bf16},
                {"c64", DType::c64},
                {"c128", DType::c128},
                {"i8", DType::i8},
                {"i16", DType::i16},
                {"i32", DType::i32},
                {"i64", DType::i64},
                {"u8", DType::u8},
                {"u16", DType::u16},
                {"u32", DType::u32},
                {"u64", DType::u64}});
  words<Map>(m, "Map", "The three maps on one Geometry.",
             {{"conv_transpose", Map::conv_transpose},
              {"conv", Map::conv},
              {"weight_gradient", Map::weight_gradient}});
  words<ArrayLayout>(
      m, "ArrayLayout", "The order of axes of source and target; of x and y for the weight gradient.",
      {{"channels_first", ArrayLayout::channels_first}, {"channels_last", ArrayLayout::channels_last}});
  words<Activation>(m, "Activation", "What follows the layer.",
                    {{"none", Activation::none},
                     {"relu", Activation::relu},
                     {"leaky_relu", Activation::leaky_relu},
                     {"clamp", Activation::clamp},
                     {"tanh", Activation::tanh},
                     {"sigmoid", Activation::sigmoid},
                     {"gelu", Activation::gelu},
                     {"gelu_tanh", Activation::gelu_tanh},
                     {"silu", Activation::silu},
                     {"elu", Activation::elu},
                     {"prelu", Activation::prelu},
                     {"hardswish", Activation::hardswish},
                     {"softplus", Activation::softplus},
                     {"mish", Activation::mish}});
  words<Scale>(
      m, "Scale", "What sums are multiplied by; no kernel has one yet.",
      {{"none", Scale::none}, {"per_tensor", Scale::per_tensor}, {"per_channel", Scale::per_channel}});
  words<Rounding>(m, "Rounding", "How a sum becomes a number of the target; no kernel clips yet.",
                  {{"nearest_even", Rounding::nearest_even}, {"saturating", Rounding::saturating}});
  words<PhasesLanes>(m, "PhasesLanes", "What the lanes of a tile of `phases` are.",
                     {{"positions", PhasesLanes::positions},
                      {"stacked", PhasesLanes::stacked},
                      {"channels", PhasesLanes::channels},
                      {"by_phase", PhasesLanes::by_phase}});
  words<Col2imLanes>(m, "Col2imLanes", "What the lanes of a tile of `col2im` are.",
                     {{"positions", Col2imLanes::positions}, {"taps", Col2imLanes::taps}});
  words<GradientLanes>(m, "GradientLanes", "What the lanes of a tile of a weight gradient are.",
                       {{"x_channels", GradientLanes::x_channels},
                        {"y_channels", GradientLanes::y_channels},
                        {"y_phases", GradientLanes::y_phases},
                        {"kernel", GradientLanes::kernel}});

  record(m, "Problem", "A Geometry as the kernels see it: three axes (z, y, x), channels of one group.",
         Field{"batch", &Problem::batch, "Items."}, Field{"groups", &Problem::groups, "Groups of channels."},
         Field{"in_channels", &Problem::in_channels, "Channels of the input, of one group."},
         Field{"out_channels", &Problem::out_channels, "Channels of the output, of one group."},
         Field{"input", &Problem::input, "Size of the input."},
         Field{"output", &Problem::output, "Size of the output."},
         Field{"kernel", &Problem::kernel, "Size of the kernel."},
         Field{"stride", &Problem::stride, "Strides."}, Field{"dilation", &Problem::dilation, "Dilations."},
         Field{"lo", &Problem::lo, "Padding before the first output cell; negative extends the output."});
  record(m, "Operands", "Types of numbers; the source of a weight gradient is x, its weight y.",
         Field{"source", &Operands::source, "Of the array that the map reads."},
         Field{"weight", &Operands::weight, "Of the weights."},
         Field{"sums", &Operands::sums, "In which products are added."},
         Field{"target", &Operands::target, "Of the array that the map writes."});
  record(m, "Epilogue", "What happens to a sum on its way to the target: scale, bias, activation, rounding.",
         Field{"scale", &Epilogue::scale, "What sums are multiplied by."},
         Field{"bias", &Epilogue::bias, "Type of the bias, where a run is given one."},
         Field{"activation", &Epilogue::activation, "What follows."},
         Field{"numbers", &Epilogue::numbers, "Of the activation: slopes, bounds."},
         Field{"rounding", &Epilogue::rounding, "How a sum becomes a number of the target."});
  const char* parts = "Of a number in matrix registers, 1 to 3; 0: the tile is made of vectors.";
  record(m, "PhasesPlan", "conv_transpose and conv as an implicit matrix product per phase.",
         Field{"lanes", &PhasesPlan::lanes, "What the lanes of a tile are."},
         Field{"rows", &PhasesPlan::rows, "Rows of a tile."},
         Field{"vectors", &PhasesPlan::vectors, "Vectors, or matrix registers, of a row of a tile."},
         Field{"parts", &PhasesPlan::parts, parts},
         Field{"im2col", &PhasesPlan::im2col,
               "Whether the panel repeats its input for every distance of a tap."},
         Field{"box", &PhasesPlan::box,
               "Cells (batch, z, y, x) of the target's lattice that a task packs and computes."},
         Field{"channels", &PhasesPlan::channels, "Of the target in one group, of a task; 0 for by_phase."},
         Field{"columns", &PhasesPlan::columns, "Phases times channels of a task, for by_phase; else 0."},
         Field{"groups", &PhasesPlan::groups, "That share a panel and are stored together."},
         Field{"pack_by_task", &PhasesPlan::pack_by_task,
               "Whether tasks pack the weights that they multiply with."},
         Field{"steps", &PhasesPlan::steps, "Source channels whose taps are summed before the next ones'."},
         Field{"prefetch", &PhasesPlan::prefetch,
               "Bytes by which packed weights are prefetched; 0: they are near."});
  record(m, "WinogradPlan", "conv_transpose where phases have one or two taps, by F(3, 2).",
         Field{"rows", &WinogradPlan::rows, "Rows of a tile of registers."},
         Field{"vectors", &WinogradPlan::vectors, "Vectors of a row."},
         Field{"tiles", &WinogradPlan::tiles,
               "Tiles of outputs (batch, y, x) that a task transforms and computes."},
         Field{"channels", &WinogradPlan::channels, "Of the target in one group, of a task."});
  record(m, "Col2imPlan", "conv_transpose as a matrix product whose sums are added at their places.",
         Field{"lanes", &Col2imPlan::lanes, "What the lanes of a tile are."},
         Field{"rows", &Col2imPlan::rows, "Rows of a tile."},
         Field{"vectors", &Col2imPlan::vectors, "Vectors of a row of a tile."},
         Field{"box", &Col2imPlan::box,
               "Batch items, rows of the source (z, y) and cells of the target along x, of a task."},
         Field{"channels", &Col2imPlan::channels, "Of the target in one group, of a task."},
         Field{"positions", &Col2imPlan::positions, "Of the source, that are multiplied at a time."},
         Field{"depth", &Col2imPlan::depth, "Source channels that are multiplied at a time."},
         Field{"staged", &Col2imPlan::staged, "Whether they are copied first."},
         Field{"prefetch", &Col2imPlan::prefetch,
               "Bytes by which packed weights are prefetched; 0: they are near."});
  const char* x_channels = "Channels of x of a task; 0: all.";
  const char* y_channels = "Channels of y of a task; 0: all.";
  record(m, "DotsPlan", "conv and the weight gradient as dot products.",
         Field{"rows", &DotsPlan::rows, "Rows of a tile of dot products."},
         Field{"columns", &DotsPlan::columns, "Columns of a tile of dot products."},
         Field{"box", &DotsPlan::box, "Cells (batch, z, y, x) of x that a task reads or writes."},
         Field{"x_channels", &DotsPlan::x_channels, x_channels},
         Field{"y_channels", &DotsPlan::y_channels, y_channels},
         Field{"gathered", &DotsPlan::gathered,
               "Whether y is copied for each position of x, in the order of the weights."});
  record(m, "GradientPlan", "The weight gradient as matrix products over positions.",
         Field{"lanes", &GradientPlan::lanes, "What the lanes of a tile are."},
         Field{"rows", &GradientPlan::rows, "Rows of a tile."},
         Field{"vectors", &GradientPlan::vectors, "Vectors, or matrix registers, of a row of a tile."},
         Field{"parts", &GradientPlan::parts, parts},
         Field{"box", &GradientPlan::box, "Cells (batch, z, y, x) of x that are packed at a time."},
         Field{"x_channels", &GradientPlan::x_channels, x_channels},
         Field{"y_channels", &GradientPlan::y_channels, y_channels},
         Field{"stretches", &GradientPlan::stretches,
               "Pieces of kernels' rows of a task, for lanes over the kernel; else 0."});
  record(m, "Plan", "What all algorithms share, and the part of one; None: plain loops over the definition.",
         Field{"problem", &Plan::problem, "What is asked."}, Field{"map", &Plan::map, "Which map."},
         Field{"layout", &Plan::layout, "The order of the arrays' axes."},
         Field{"operands", &Plan::operands, "Types of numbers."},
         Field{"epilogue", &Plan::epilogue, "What happens to sums."},
         Field{"isa", &Plan::isa, "Which build of the kernels."},
         Field{"segments", &Plan::segments, "In how many sums, added in order, the reduction is cut."},
         Field{"most_threads", &Plan::most_threads, "More would cost more to wake than they save."},
         Field{"part", &Plan::part, "How it is done."});
  m.attr("PLAN_BYTES") = sizeof(Plan);
  m.def(
      "plan_address", [](const Plan& plan) { return reinterpret_cast<uintptr_t>(&plan); }, "plan"_a,
      "Where a plan is in memory, for another library of this build to copy it.");
}

}  // namespace tconv
