// Rows of sums, added at their places. This file is compiled once per instruction set; kernels/phases.cpp
// states the rules for that.
#include <cstdint>

#include "kernel_set.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

// Fewer than 2 * width numbers, in vectors that shrink.
template <class T, int width> inline void add_some(const T* from, int64_t length, T* to) {
  typedef T Vector __attribute__((vector_size(width * sizeof(T)), aligned(sizeof(T)), may_alias));
  if (length >= width) {
    *reinterpret_cast<Vector*>(to) += *reinterpret_cast<const Vector*>(from);
    from += width, to += width, length -= width;
  }
  if constexpr (width > 2) add_some<T, width / 2>(from, length, to);
  else if (length) *to += *from;
}

template <class T> void add(const AddArgs<T>& args) {
  constexpr int64_t lanes = Simd<T>::lanes;
  const int64_t length = args.length;
  const T* from = args.from;
  T* to = args.to;
  if (length < lanes) {
    for (int64_t i = 0; i < args.count; ++i, from += args.from_step, to += args.to_step)
      add_some<T, lanes / 2>(from, length, to);
    return;
  }
  for (int64_t i = 0; i < args.count; ++i, from += args.from_step, to += args.to_step) {
    // The last vector overlaps the previous one: it is read before that one is written.
    const int64_t end = length - lanes;
    const typename Simd<T>::Vector last = Simd<T>::load(to + end) + Simd<T>::load(from + end);
    for (int64_t j = 0; j < end; j += lanes)
      Simd<T>::store(to + j, Simd<T>::load(to + j) + Simd<T>::load(from + j));
    Simd<T>::store(to + end, last);
  }
}

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_col2im_, TCONV_ISA)(KernelSet<float>& f32, KernelSet<double>& f64) {
  f32.add = add<float>;
  f64.add = add<double>;
}

}  // namespace tconv
