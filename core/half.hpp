// 16-bit numbers, and their conversion to and from float.
#pragma once

#include <cstdint>
#include <cstring>

namespace tconv {

struct Half {  // IEEE 754 binary16: 5 bits of exponent
  uint16_t bits;
};
struct Brain {  // bfloat16: the upper half of a float
  uint16_t bits;
};

// Internal linkage: this header is compiled for several instruction sets, whose code must not be shared.
static inline float float_of(uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
static inline uint32_t bits_of(float x) {
  uint32_t out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

static inline float widened(Brain x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }

static inline float widened(Half x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = (x.bits & 0x7fffu) << 13;
  const uint32_t usual = rest + (112u << 23), special = rest | 0x7f800000u;  // special: infinity and NaN
  const uint32_t tiny = bits_of(static_cast<float>(x.bits & 0x3ff) * 0x1p-24f);
  const uint32_t exponent = x.bits & 0x7c00u;
  return float_of(sign | (exponent == 0 ? tiny : exponent == 0x7c00u ? special : usual));
}

static inline Brain narrowed(float x, Brain) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return {static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded)};
}

static inline Half narrowed(float x, Half) {
  const uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000, size = bits & 0x7fffffff;
  const uint32_t usual = (size - (112u << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
  // Below 2^-14 the last bit weighs 2^-24, as it does in floats from 0.5 to 1.
  const uint32_t tiny = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
  const uint32_t special = size > 0x7f800000 ? 0x7e00 : 0x7c00;
  return {static_cast<uint16_t>(sign | (size < 0x38800000 ? tiny : size >= 0x47800000 ? special : usual))};
}

}  // namespace tconv
