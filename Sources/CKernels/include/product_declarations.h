// Products of matrices in packed blocks of bfloat16 numbers. Included by CKernels.h; not a header of its own.
//
// Operands are rounded to bfloat16 (nearest, ties to even; NaN and infinities stay) while they are packed. A packed matrix consists of
// units of four bytes: two neighbours along the depth as bfloat16, the first in the low half, or one of them widened to float. The left
// operand is packed as rows of units, the right one as panels of 16 columns, in each of which the 16 units of one place along the depth
// are neighbours. What depth does not fill is 0.
#ifndef CKERNELS_PRODUCT_DECLARATIONS_H
#define CKERNELS_PRODUCT_DECLARATIONS_H

/// Instructions that multiply, and for the tests plain loops that give the same bits.
typedef enum {
  /// Units of one float: sum += a·b along the depth, product and sum rounded one after the other.
  CKERNELS_PRODUCT_PORTABLE = 0,
  /// The same with one rounding (FMA). Products of bfloat16 numbers are exact in float, so that bits differ only beyond its range.
  CKERNELS_PRODUCT_AVX2 = 1,
  CKERNELS_PRODUCT_AVX512 = 2,
  /// Units of two: VDPBF16PS, for each pair sum += a₁·b₁, then sum += a₀·b₀, each with one rounding to nearest; denormal numbers count as
  /// 0 and become 0.
  CKERNELS_PRODUCT_AVX512_BF16 = 3,
  /// Units of two: TDPBF16PS, for each 16 pairs e = Σ a₀·b₀ and o = Σ a₁·b₁ along the depth, then sum += e + o; rounded as above.
  CKERNELS_PRODUCT_AMX = 4,
  CKERNELS_PRODUCT_EMULATED_FMA = 5,
  CKERNELS_PRODUCT_EMULATED_AVX512_BF16 = 6,
  CKERNELS_PRODUCT_EMULATED_AMX = 7,
} ckernels_product_path;

/// What of a number is packed.
typedef enum {
  /// The number rounded to bfloat16.
  CKERNELS_HIGH_PART = 0,
  /// What that leaves, rounded to bfloat16; 0 where the high part is infinite or NaN. For units of two only.
  CKERNELS_LOW_PART = 1,
} ckernels_number_part;

/// How a path has its operands.
typedef struct {
  /// Numbers along the depth in one unit.
  size_t unit_depth;
  /// A block's depth is filled up to a multiple of so many units.
  size_t unit_multiple;
  /// Depth that is summed in one run; longer products are cut into several blocks.
  size_t longest_depth;
  /// Rows that the kernel computes together: blocks of rows are best multiples of it, and as many must be allocated.
  size_t row_multiple;
} ckernels_product_layout;

/// Columns of a panel of the right operand.
#define CKERNELS_PANEL_COLUMNS 16

ckernels_product_layout ckernels_product_layout_of(ckernels_product_path path);

/// Packs a block of the left operand, rows × depth, or depth × rows where it is stored `transposed`. Row r goes to packed + r·packed_stride,
/// a number of units that is a multiple of 16 and not below `units`; what is between may be overwritten.
void ckernels_pack_left(ckernels_product_path path, ckernels_number_part part, const float *a, size_t stride,
                        bool transposed, size_t rows, size_t depth, size_t units, uint32_t *packed,
                        size_t packed_stride);

/// Packs a block of the right operand, depth × columns, or columns × depth where it is stored `transposed`: one panel of 16 · units
/// after another, the last one filled up with 0.
void ckernels_pack_right(ckernels_product_path path, ckernels_number_part part, const float *b, size_t stride,
                         bool transposed, size_t columns, size_t depth, size_t units, uint32_t *packed);

/// The same of a left operand of bfloat16 numbers, as their bits; their high part is all of them.
void ckernels_pack_left_bfloat16(ckernels_product_path path, const uint16_t *a, size_t stride, bool transposed,
                                 size_t rows, size_t depth, size_t units, uint32_t *packed, size_t packed_stride);

/// The same of a right operand.
void ckernels_pack_right_bfloat16(ckernels_product_path path, const uint16_t *b, size_t stride, bool transposed,
                                  size_t columns, size_t depth, size_t units, uint32_t *packed);

/// C = alpha · left · right, added to C if it `accumulates`: the sums from 0 on along the depth, times alpha, plus C, each rounded. C is
/// rows × columns. The processor must have what the path needs.
void ckernels_multiply_packed(ckernels_product_path path, size_t rows, size_t columns, size_t units,
                              const uint32_t *left, size_t left_stride, const uint32_t *right, float alpha, float *c,
                              size_t stride, bool accumulates);

/// Runs so many multiply-adds on registers alone and returns how many operations (two each) those were: the core's own peak on that path.
/// 0 where the path has no instructions of its own.
double ckernels_product_peak(ckernels_product_path path, size_t rounds);

#endif
