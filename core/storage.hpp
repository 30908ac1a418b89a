// Numbers as they lie in arrays (S) and as they are computed (T): halves are widened to float on the way in, and sums are
// rounded once on the way out, to nearest, ties to even.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "layout.hpp"
#include "table.hpp"

namespace tconv {

// f32 and f64 are computed as they are: rows are made in place.
template <class Number>
struct Storage {
  using S = Number;
  using T = S;
  using Weight = S;                   // of packed weights
  static constexpr int64_t fold = 1;  // channels of the source in one of a panel
  static constexpr bool narrow = false;
  explicit Storage(const std::string&) {}

  static T number(S x) { return x; }
  // What loads numbers of channel `d` of a panel.
  const Storage& channel(int64_t, const Layout&) const { return *this; }
  void load(const S* from, int64_t count, T* to) const { std::copy_n(from, count, to); }
  // What `load` would leave in `scratch`.
  const T* loaded(const S* from, int64_t, T*) const { return from; }
  // Where to make a row that `store` brings to `out`.
  T* row(S* out, T*) const { return out; }
  void store(const T*, int64_t, S*) const {}
  // As KernelSet::transpose.
  void transpose(const KernelSet<T>& kernels, const S* from, int64_t from_stride, int64_t step, int64_t count,
                 int64_t channels, T* to, int64_t to_stride) const {
    kernels.transpose(from, from_stride, step, count, channels, to, to_stride);
  }
};

template <class Number>
struct HalfStorage {
  using S = Number;
  using T = float;
  using Weight = S;
  static constexpr int64_t fold = 1;
  static constexpr bool narrow = true;
  explicit HalfStorage(const std::string& isa) : convert(converts_for<S>(isa)) {}

  const HalfStorage& channel(int64_t, const Layout&) const { return *this; }
  void load(const S* from, int64_t count, T* to) const { convert.widen(from, count, to); }
  const T* loaded(const S* from, int64_t count, T* scratch) const {
    load(from, count, scratch);
    return scratch;
  }
  T* row(S*, T* scratch) const { return scratch; }
  void store(const T* row, int64_t count, S* out) const { convert.narrow(row, count, out); }
  void transpose(const KernelSet<T>& kernels, const S* from, int64_t from_stride, int64_t step, int64_t count,
                 int64_t channels, T* to, int64_t to_stride) const {
    constexpr int64_t kChannels = 16, kPitch = 128;
    T block[kChannels * kPitch];
    const int64_t most = std::max<int64_t>(1, kPitch / step);
    for (int64_t c0 = 0; c0 < channels; c0 += kChannels)
      for (int64_t i0 = 0; i0 < count; i0 += most) {
        const int64_t width = std::min(kChannels, channels - c0), cells = std::min(most, count - i0);
        for (int64_t c = 0; c < width; ++c)
          load(from + (c0 + c) * from_stride + i0 * step, (cells - 1) * step + 1, block + c * kPitch);
        kernels.transpose(block, kPitch, step, cells, width, to + i0 * to_stride + c0, to_stride);
      }
  }

 protected:
  const ConvertSet<S>& convert;
};

template <>
struct Storage<Half> : HalfStorage<Half> {
  using HalfStorage::HalfStorage;
  static float number(Half x) { return widened(x); }
};
template <>
struct Storage<Brain> : HalfStorage<Brain> {
  using HalfStorage::HalfStorage;
  static float number(Brain x) { return widened(x); }
};

// bfloat16 for the matrix unit: the numbers of a panel are the bits of two neighbouring channels' numbers.
struct PairStorage : Storage<Brain> {
  using Storage::Storage;
  using Weight = uint32_t;
  static constexpr int64_t fold = 2;

  struct Channel {
    const ConvertSet<Brain>& convert;
    int64_t odd;  // numbers from the even channel to the odd one; 0 where there is none

    void load(const Brain* from, int64_t count, float* to) const {
      convert.pair(from, odd ? from + odd : nullptr, count, to);
    }
    const float* loaded(const Brain* from, int64_t count, float* scratch) const {
      load(from, count, scratch);
      return scratch;
    }
  };
  Channel channel(int64_t d, const Layout& at) const {
    return {convert, 2 * d + 1 < at.source_channels ? at.source_plane : 0};
  }
};

// Calls call(T{}) with the type of f32 or f64.
template <class Call>
void with_real(DType dtype, const Call& call) {
  if (dtype == DType::f32) call(float{});
  else call(double{});
}

// Calls call(S{}) with the type in which arrays of `dtype` lie.
template <class Call>
void with_storage(DType dtype, const Call& call) {
  switch (dtype) {
    case DType::f32: return call(float{});
    case DType::f64: return call(double{});
    case DType::f16: return call(Half{});
    case DType::bf16: return call(Brain{});
    default: throw std::invalid_argument("this dtype has the reference kernel alone");
  }
}

}  // namespace tconv
