// Norms over rows. Included by CKernels.h once for each format that they read, SOURCE, and that they write, STORED; not a header of its own. The
// value read and its gradient are of SOURCE, what is written and its gradient of STORED, and parameters and statistics of REAL.

/// y = (x − mean) · rstd ⊙ gain + shift over each row, rstd = 1/√(variance + epsilon). `statistics` is NULL or receives
/// mean and rstd of each row.
void NAME(ckernels_layer_norm)(size_t rows, size_t columns, const SOURCE *x, size_t x_stride, const REAL *gain,
                               const REAL *shift, REAL epsilon, STORED *y, size_t stride, REAL *statistics,
                               size_t statistics_stride);

/// From ∂L/∂y to ∂L/∂x (added if `accumulates`; NULL if nobody needs it) and to what these rows add to the gradients of
/// gain and of shift: `column_sums`, 2 × columns, NULL if they are not trained.
void NAME(ckernels_layer_norm_backward)(size_t rows, size_t columns, const STORED *gradient, size_t stride, const SOURCE *x,
                                        size_t x_stride, const REAL *statistics, size_t statistics_stride,
                                        const REAL *gain, SOURCE *x_gradient, size_t x_gradient_stride, bool accumulates,
                                        double *column_sums);

/// y = x · scale over each row, scale = 1/√(mean of squares + epsilon). `scales` is NULL or receives it.
void NAME(ckernels_rms_norm)(size_t rows, size_t columns, const SOURCE *x, size_t x_stride, REAL epsilon, STORED *y,
                             size_t stride, REAL *scales, size_t scales_stride);

/// From ∂L/∂y to ∂L/∂x, added if `accumulates`.
void NAME(ckernels_rms_norm_backward)(size_t rows, size_t columns, const STORED *gradient, size_t stride, const STORED *y,
                                      size_t y_stride, const REAL *scales, size_t scales_stride, SOURCE *x_gradient,
                                      size_t x_gradient_stride, bool accumulates);
