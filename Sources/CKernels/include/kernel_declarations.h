// Included by CKernels.h once with REAL float and once with REAL double; not a header of its own.

// -- Attention. Row r of a block of scores looks at its first min(columns, first + step·r) columns; the others get
// weight 0.

/// scores → exp(scores − the row's largest), the sum's reciprocal in `inverses`, and unless NULL the logarithm of
/// Σ exp(score) in `logarithms`.
void NAME(ckernels_attention_weights)(size_t rows, size_t columns, size_t first, size_t step, REAL *scores,
                                      size_t stride, REAL *inverses, REAL *logarithms, size_t logarithms_stride);

/// scores → the weights p = exp(score − logarithm); ∂L/∂p → ∂L/∂score = p (∂L/∂p − Σ p ∂L/∂p).
void NAME(ckernels_attention_weights_backward)(size_t rows, size_t columns, size_t first, size_t step, REAL *scores,
                                               size_t stride, REAL *gradients, size_t gradients_stride,
                                               const REAL *logarithms, size_t logarithms_stride);

/// Each row times its factor.
void NAME(ckernels_scale_rows)(size_t rows, size_t columns, REAL *x, size_t stride, const REAL *factors);

// -- Losses. Each returns the sum of the losses and writes scale · ∂(that sum)/∂outputs.

/// −log softmax(row)[label] over rows. Every label must be below classes; a row with a negative one
/// counts nothing and gets gradient 0.
double NAME(ckernels_softmax_cross_entropy)(size_t rows, size_t classes, const REAL *outputs, const int32_t *labels,
                                            REAL scale, REAL *gradient);

/// Binary cross-entropy on logits over the entries whose target is not NaN; the others get gradient 0.
double NAME(ckernels_binary_cross_entropy)(size_t count, const REAL *outputs, const REAL *targets, REAL scale,
                                           REAL *gradient);

/// (output − target)² over the entries whose target is not NaN; the others get gradient 0.
double NAME(ckernels_squared_error)(size_t count, const REAL *outputs, const REAL *targets, REAL scale,
                                    REAL *gradient);

// -- Optimizers. `clip` multiplies the gradient as it is read.

/// torch.optim.SGD: g = clip·gradient + decay·w; buffer = momentum·buffer + g; w -= rate·(nesterov ? g + momentum·buffer
/// : buffer). Without momentum `buffer` is NULL and w -= rate·g.
void NAME(ckernels_sgd)(size_t count, REAL *weights, const REAL *gradient, REAL *buffer, REAL clip, REAL rate,
                        REAL momentum, bool nesterov, REAL decay);

/// torch.optim.AdamW: w *= shrink; m += weight1·(g − m), v = beta2·v + weight2·g² with g = clip·gradient;
/// w -= step_size·m / (√v / root + epsilon). shrink = 1 − rate·decay, weight1 = 1 − beta1, weight2 = 1 − beta2,
/// step_size = rate / (1 − beta1ᵗ), root = √(1 − beta2ᵗ); the differences are the caller's, who has them in double.
void NAME(ckernels_adamw)(size_t count, REAL *weights, const REAL *gradient, REAL *moment1, REAL *moment2, REAL clip,
                          REAL shrink, REAL weight1, REAL beta2, REAL weight2, REAL epsilon, REAL step_size, REAL root);

/// buffer = momentum·buffer + clip·gradient; direction = clip·gradient + momentum·buffer. Returns the sum of squares of
/// the direction.
double NAME(ckernels_nesterov_direction)(size_t count, const REAL *gradient, REAL *buffer, REAL *direction, REAL clip,
                                         REAL momentum);

/// w -= rate·(scale·direction + decay·w).
void NAME(ckernels_decoupled_step)(size_t count, REAL *weights, const REAL *direction, REAL rate, REAL scale,
                                   REAL decay);

// -- Whole arrays

/// Whether no entry is NaN or infinite.
bool NAME(ckernels_all_finite)(size_t count, const REAL *x);

/// x *= factor.
void NAME(ckernels_scale)(size_t count, REAL *x, REAL factor);

/// y = a·x + b·y.
void NAME(ckernels_combine)(size_t count, REAL a, const REAL *x, REAL b, REAL *y);

/// sums = Σ over the rows of partial (pieces × columns), in order; added to what is there if `accumulates`.
void NAME(ckernels_total_columns)(size_t pieces, size_t columns, const double *partial, size_t stride, REAL *sums,
                                  bool accumulates);

// -- Elementary functions over arrays, for the accuracy tests.
void NAME(ckernels_exp)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_exp_of_weight)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_tanh)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_normal_distribution)(size_t count, const REAL *x, REAL *y);
void NAME(ckernels_log1p_of_unit)(size_t count, const REAL *x, REAL *y);
