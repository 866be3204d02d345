// Matrix products of single precision for processors with AVX-512: C = alpha · op(A) B, B packed into panels.
//
// BLAS packs both factors at every call and cannot look ahead in A; here a caller packs B once for many rows, A is read
// where it lies, and what the next rows need is fetched while these are multiplied. Not for other processors:
// `ckernels_has_panel_products` says whether the rest may be called.
#ifndef CKERNELS_PANEL_PRODUCTS_H
#define CKERNELS_PANEL_PRODUCTS_H

#include <stdbool.h>
#include <stddef.h>

/// Columns of a panel: two vectors.
#define CKERNELS_PANEL_COLUMNS 32
/// Rows that are multiplied at once: 2 · 14 sums, 2 vectors of B and one number of A fill the 32 registers.
#define CKERNELS_STRIP_ROWS 14
/// Numbers a packed strip has for each of its 14 rows' places: one vector.
#define CKERNELS_STRIP_STEP 16

bool ckernels_has_panel_products(void);

/// Packs depth × columns numbers, b[p · stride + j] or, `transposed`, b[j · stride + p], into panels of depth × 32, the last
/// one filled up with zeros.
void ckernels_pack_panels(bool transposed, size_t depth, size_t columns, const float *b, size_t stride, float *panels);

/// Packs the transpose of depth × rows numbers, a[p · stride + i], into strips of depth × 16, for `ckernels_multiply_strips`.
void ckernels_pack_strips(size_t depth, size_t rows, const float *a, size_t stride, float *strips);

/// C (rows × columns) = alpha · A B, added to C if `accumulates`. A: a[i · stride + p]; `rows_after` more rows follow, which are
/// fetched ahead.
void ckernels_multiply_rows(size_t rows, size_t columns, size_t depth, float alpha, const float *a, size_t stride,
                            size_t rows_after, const float *panels, bool accumulates, float *c, size_t c_stride);

/// The same with A in strips.
void ckernels_multiply_strips(size_t rows, size_t columns, size_t depth, float alpha, const float *strips,
                              const float *panels, bool accumulates, float *c, size_t c_stride);

#endif
