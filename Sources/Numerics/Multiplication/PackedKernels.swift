import CKernels

/// Products of bfloat16 numbers by this project's own kernels; all others by OpenBLAS.
///
/// Operands are rounded to nearest, ties to even, while they are packed; NaN and infinities stay. Sums are of float, in the order of the
/// path (`product_declarations.h`), and so are alpha and what is added to C. Paths of pairs take denormal numbers for 0.
///
/// An element of a product over a depth of k differs from the exact one by at most (2u + u²) Σ|a||b| for the rounding of operands, u = 2⁻⁸,
/// and about k · 2⁻²⁴ Σ|a||b| for that of the sum.
package struct PackedKernels: ProductLibrary {
  package let path: KernelPath
  let layout: PackedLayout
  /// Whether `.bfloat16x3` is computed by three products, or by one of floats.
  private let hasThreeParts: Bool
  private let openBLAS = OpenBLAS()
  private let scratch = ScratchPool()

  /// - Parameter path: one that this processor has.
  package init(path: KernelPath = .ofThisProcessor) {
    precondition(path.isAvailable, "this processor does not have \(path.rawValue)")
    self.init(path, PackedLayout(path.instructions), hasThreeParts: path.acceleratesThreeParts)
  }

  /// By plain loops that give the same bits, on any processor.
  init(emulating path: KernelPath) {
    self.init(path, PackedLayout(path.emulation), hasThreeParts: path.acceleratesThreeParts)
  }

  init(_ path: KernelPath, _ layout: PackedLayout, hasThreeParts: Bool) {
    self.path = path
    self.layout = layout
    self.hasThreeParts = hasThreeParts
  }

  /// Whether products of this precision are computed here, not by OpenBLAS.
  private func isPacked(_ precision: ProductPrecision) -> Bool {
    switch precision {
    case .full: false
    case .bfloat16: true
    case .bfloat16x3: hasThreeParts
    }
  }

  package func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) {
    guard isPacked(precision) else { return openBLAS.multiply(product, .full) }
    PackedRuns(product, layout, PackedParts.all(precision)).compute(scratch)
  }

  package func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
    openBLAS.multiply(product, .full)
  }

  package func packedForm(_ precision: ProductPrecision) -> PackedForm? {
    guard isPacked(precision) else { return nil }
    return PackedForm(layout: layout, parts: precision == .bfloat16x3 ? 2 : 1)
  }
}
