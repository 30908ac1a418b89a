// The vector register of the instruction set that the including file is compiled for. Included by kernel files only.
#pragma once

namespace tconv {
namespace {

template <class T>
struct Simd {
  typedef T Vector __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  typedef T Unaligned __attribute__((vector_size(TCONV_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int lanes = TCONV_VECTOR_BYTES / sizeof(T);

  static Vector load(const T* from) { return *reinterpret_cast<const Unaligned*>(from); }
  static void store(T* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }
};

}  // namespace
}  // namespace tconv
