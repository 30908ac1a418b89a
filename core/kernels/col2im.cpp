// Products of `col2im`, added at their places. This file is compiled once per instruction set;
// kernels/phases.cpp states the rules for that.
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

template <class T> struct MaskOf;
template <> struct MaskOf<float> {
  typedef uint32_t Vector __attribute__((vector_size(TCONV_VECTOR_BYTES)));
};
template <> struct MaskOf<double> {
  typedef uint64_t Vector __attribute__((vector_size(TCONV_VECTOR_BYTES)));
};

// `together` channels share the loads of terms and masks, and their sums do not wait for each other.
template <class T, int together> void collect_some(const CollectArgs<T>& args, const T* from, T* to) {
  using Vector = typename Simd<T>::Vector;
  using Mask = typename MaskOf<T>::Vector;
  for (int64_t i = 0; i < args.count; ++i) {
    const CollectVector vector = args.vectors[i];
    T* own = to + vector.to;
    Vector sums[together];
#pragma GCC unroll 4
    for (int c = 0; c < together; ++c) sums[c] = Simd<T>::load(own + c * args.to_step);
    for (int32_t t = vector.begin; t < vector.end; ++t) {
      const Mask mask = (Mask)Simd<T>::load(args.masks + args.terms[t].mask);
      const T* products = from + args.terms[t].from;
#pragma GCC unroll 4
      for (int c = 0; c < together; ++c)
        sums[c] += (Vector)((Mask)Simd<T>::load(products + c * args.from_step) & mask);
    }
#pragma GCC unroll 4
    for (int c = 0; c < together; ++c) Simd<T>::store(own + c * args.to_step, sums[c]);
  }
}

template <class T> void collect(const CollectArgs<T>& args) {
  constexpr int together = 4;
  int64_t c = 0;
  for (; c + together <= args.channels; c += together)
    collect_some<T, together>(args, args.from + c * args.from_step, args.to + c * args.to_step);
  for (; c < args.channels; ++c)
    collect_some<T, 1>(args, args.from + c * args.from_step, args.to + c * args.to_step);
}

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_col2im_, TCONV_ISA)(KernelSet<float>& f32, KernelSet<double>& f64) {
  f32.add = add<float>;
  f64.add = add<double>;
  f32.collect = collect<float>;
  f64.collect = collect<double>;
}

}  // namespace tconv
