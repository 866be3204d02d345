// Bfloat16 numbers in packed units, in plain C.
#ifndef CKERNELS_PRODUCTS_NUMBERS_H
#define CKERNELS_PRODUCTS_NUMBERS_H

#include "bfloat16.h"
#include "products.h"

// A part of a number for a unit of two.
INLINE uint32_t bfloat16_part(ckernels_number_part part, float x) {
  const uint32_t high = rounded_to_bfloat16(x, true);
  if (part == CKERNELS_HIGH_PART) return high;
  if ((high & 0x7f80) == 0x7f80) return 0;
  return rounded_to_bfloat16(x - number_of_bits(high << 16), true);
}

#endif
