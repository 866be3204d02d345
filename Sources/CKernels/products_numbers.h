// Bfloat16 numbers in plain C.
#ifndef CKERNELS_PRODUCTS_NUMBERS_H
#define CKERNELS_PRODUCTS_NUMBERS_H

#include <string.h>

#include "products.h"

INLINE uint32_t bits_of_number(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float number_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The upper half of the nearest bfloat16 number's bits; a NaN is made quiet. Where it `flushes`, a denormal number becomes 0, as by
// VCVTNEPS2BF16.
INLINE uint32_t rounded_to_bfloat16(float x, const bool flushes) {
  const uint32_t bits = bits_of_number(x);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const uint32_t result = magnitude > 0x7f800000 ? (bits >> 16) | 0x40 : nearest;
  return flushes && magnitude < 0x00800000 ? (bits >> 16) & 0x8000 : result;
}

// A part of a number for a unit of two.
INLINE uint32_t bfloat16_part(ckernels_number_part part, float x) {
  const uint32_t high = rounded_to_bfloat16(x, true);
  if (part == CKERNELS_HIGH_PART) return high;
  if ((high & 0x7f80) == 0x7f80) return 0;
  return rounded_to_bfloat16(x - number_of_bits(high << 16), true);
}

#endif
