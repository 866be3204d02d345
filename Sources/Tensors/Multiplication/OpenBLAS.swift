import CBLAS

/// What this process uses of OpenBLAS beside the multiplication itself.
package enum OpenBLAS {
  /// Evaluated once, by Swift's own once-only initialisation of static properties, before the first multiplication.
  ///
  /// OpenBLAS's own threads are off for good: parallelism is `Workers`' alone. Two schedulers would fight for the same
  /// cores, and the split OpenBLAS chooses depends on its thread count, which would make result bits depend on it too.
  private static let threadsSwitchedOff: Void = openblas_set_num_threads(1)

  static func oneThreadPerCall() {
    threadsSwitchedOff
  }

  /// The kernel family OpenBLAS chose for this processor: "SkylakeX", "Haswell".
  package static var kernelName: String {
    openblas_get_corename().map { String(cString: $0) } ?? "unknown"
  }

  /// Whether the kernels in use include those for small matrices (OpenBLAS has them for AVX-512 only).
  static let hasSmallMatrixKernels = ["skylakex", "cooperlake", "sapphirerapids"].contains(kernelName.lowercased())
}
