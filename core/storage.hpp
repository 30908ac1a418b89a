// Numbers as arrays store them (S) and as they are computed (T): halves are widened to float when they are
// read, and sums are rounded once when they are stored, to nearest, ties to even.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "layout.hpp"
#include "table.hpp"

namespace tconv {

// f32 and f64 are computed as stored: rows are written in place.
template <class S> struct Storage {
  using T = S;
  static constexpr bool narrow = false;
  explicit Storage(const std::string&) {}

  static T number(S x) { return x; }
  // Size of the scratch memory that `loaded` needs, if any.
  const T* loaded(const S* from, int64_t, T*) const { return from; }
  // Where to compute a row that `store` then writes to `out`.
  T* row(S* out, T*) const { return out; }
  void store(const T*, int64_t, S*) const {}
  bool bounded(const KernelSet<T>& kernels, const S* numbers, int64_t count) const {
    return kernels.bounded(numbers, count);
  }
  // As in KernelSet.
  void gather(const KernelSet<T>& kernels, const S* from, int64_t stride, int64_t count, T* to) const {
    kernels.gather(from, stride, count, to);
  }
  void transpose(const KernelSet<T>& kernels, const S* from, int64_t from_stride, int64_t step, int64_t count,
                 int64_t channels, T* to, int64_t to_stride) const {
    kernels.transpose(from, from_stride, step, count, channels, to, to_stride);
  }
  // `scratch`: for `room` numbers, of at least one cell.
  void finish_cells(const KernelSet<T>& kernels, const ActivationOf<T>& activation, const T* from,
                    int64_t from_stride, int64_t count, int64_t channels, const T* bias, S* to,
                    int64_t to_stride, T*, int64_t) const {
    kernels.finish_cells(activation, from, from_stride, count, channels, bias, to, to_stride);
  }
};

template <class S> struct HalfStorage {
  using T = float;
  static constexpr bool narrow = true;
  explicit HalfStorage(const std::string& isa) : convert(converts_for<S>(isa)) {}

  const T* loaded(const S* from, int64_t count, T* scratch) const {
    convert.widen(from, count, scratch);
    return scratch;
  }
  T* row(S*, T* scratch) const { return scratch; }
  void store(const T* row, int64_t count, S* out) const { convert.narrow(row, count, out); }
  bool bounded(const KernelSet<T>&, const S* numbers, int64_t count) const {
    return convert.bounded(numbers, count);
  }
  void gather(const KernelSet<T>&, const S* from, int64_t stride, int64_t count, T* to) const {
    if (stride == 1) return convert.widen(from, count, to);
    for (int64_t i = 0; i < count; ++i) to[i] = widened(from[i * stride]);
  }
  void transpose(const KernelSet<T>& kernels, const S* from, int64_t from_stride, int64_t step, int64_t count,
                 int64_t channels, T* to, int64_t to_stride) const {
    if (from_stride == 1) {
      for (int64_t i = 0; i < count; ++i) convert.widen(from + i * step, channels, to + i * to_stride);
      return;
    }
    constexpr int64_t kChannels = 16, kPitch = 128;
    T block[kChannels * kPitch];
    const int64_t most = std::max<int64_t>(1, kPitch / step);
    for (int64_t c0 = 0; c0 < channels; c0 += kChannels)
      for (int64_t i0 = 0; i0 < count; i0 += most) {
        const int64_t width = std::min(kChannels, channels - c0), cells = std::min(most, count - i0);
        for (int64_t c = 0; c < width; ++c)
          convert.widen(from + (c0 + c) * from_stride + i0 * step, (cells - 1) * step + 1,
                        block + c * kPitch);
        kernels.transpose(block, kPitch, step, cells, width, to + i0 * to_stride + c0, to_stride);
      }
  }
  void finish_cells(const KernelSet<T>& kernels, const ActivationOf<T>& activation, const T* from,
                    int64_t from_stride, int64_t count, int64_t channels, const T* bias, S* to,
                    int64_t to_stride, T* scratch, int64_t room) const {
    const int64_t most = channels == to_stride ? std::max<int64_t>(1, room / channels) : 1;
    for (int64_t i = 0; i < count; i += most) {
      const int64_t cells = std::min(most, count - i);
      kernels.finish_cells(activation, from + i * from_stride, from_stride, cells, channels, bias, scratch,
                           channels);
      convert.narrow(scratch, cells * channels, to + i * to_stride);
    }
  }

 private:
  const ConvertSet<S>& convert;
};

template <> struct Storage<Half> : HalfStorage<Half> {
  using HalfStorage::HalfStorage;
  static float number(Half x) { return widened(x); }
};
template <> struct Storage<Brain> : HalfStorage<Brain> {
  using HalfStorage::HalfStorage;
  static float number(Brain x) { return widened(x); }
};

// A bias, widened; null where there is none.
template <class S> struct WideBias {
  using T = typename Storage<S>::T;
  WideBias(const Storage<S>& storage, const S* bias, int64_t count) {
    if (bias && storage.narrow) room_.resize(static_cast<size_t>(count));
    if (bias) numbers = storage.loaded(bias, count, room_.data());
  }
  WideBias(const WideBias&) = delete;
  WideBias& operator=(const WideBias&) = delete;
  const T* numbers = nullptr;

 private:
  std::vector<T> room_;
};

// Calls call(T{}) with the type of f32 or f64.
template <class Call> void with_real(DType dtype, const Call& call) {
  if (dtype == DType::f32) call(float{});
  else call(double{});
}

// Calls call(S{}) with the type in which arrays store `dtype`.
template <class Call> void with_storage(DType dtype, const Call& call) {
  switch (dtype) {
    case DType::f32: return call(float{});
    case DType::f64: return call(double{});
    case DType::f16: return call(Half{});
    case DType::bf16: return call(Brain{});
    default: throw std::invalid_argument("this dtype has the reference kernel alone");
  }
}

}  // namespace tconv
