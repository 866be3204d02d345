import CKernels

/// Products of bfloat16 numbers by this project's own kernels; all others by OpenBLAS.
///
/// Operands are rounded to nearest, ties to even, while they are packed; NaN and infinities stay. Sums are of float, in the order of the
/// path (`product_declarations.h`), and so are alpha and what is added to C. Paths of pairs take denormal numbers for 0.
///
/// An element of a product over a depth of k differs from the exact one by at most (2u + u²) Σ|a||b| for the rounding of operands, u = 2⁻⁸,
/// and about k · 2⁻²⁴ Σ|a||b| for that of the sum.
package struct PackedKernels: ProductLibrary {
  /// Columns of C after which the epilogue follows, while they are in cache.
  private static let epilogueColumns = 256

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
    compute(product, PackedParts.all(precision))
  }

  package func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
    openBLAS.multiply(product, .full)
  }

  package func packedMatrix(depth: Int, columns: Int, _ precision: ProductPrecision) -> PackedMatrix? {
    guard isPacked(precision) else { return nil }
    return PackedMatrix(
      depth: depth, columns: columns, layout: layout, parts: precision == .bfloat16x3 ? 2 : 1)
  }

  /// One run along a block of the depth of a term, of one part of the numbers.
  private struct Run {
    let term: ProductTerm<Float>
    let block: Range<Int>
    let parts: PackedParts
  }

  private func compute(_ product: MatrixProduct<Float>, _ parts: [PackedParts]) {
    let c = product.c
    var runs: [Run] = []
    for term in [product.term, product.addition].compactMap(\.self) {
      for number in 0..<layout.blocks(ofDepth: term.depth) {
        let block = layout.block(number, ofDepth: term.depth)
        runs += parts.map { Run(term: term, block: block, parts: $0) }
      }
    }
    guard let last = runs.indices.last, c.rows > 0, c.columns > 0 else {
      if !product.accumulates {
        for row in 0..<c.rows { (c.base + row * c.stride).update(repeating: 0, count: c.columns) }
      }
      return product.finish()
    }
    let needs = runs.map { memory(for: $0, c) }
    let leftUnits = needs.map(\.left).max() ?? 0
    scratch.withMemory(leftUnits + (needs.map(\.right).max() ?? 0), of: Int32.self) { memory in
      // The pool has memory of tensor elements; a unit is as large.
      let units = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self)
      for (number, run) in runs.enumerated() {
        multiply(
          run, into: product, accumulates: product.accumulates || number > 0, isLast: number == last, left: units,
          right: units + leftUnits)
      }
    }
  }

  /// Units that a run packs its operands into.
  private func memory(for run: Run, _ c: MatrixView<Float>) -> (left: Int, right: Int) {
    let units = layout.units(run.block.count)
    let rows = min(c.rows, layout.rows(units: units))
    return (
      layout.leftUnits(rows: rows, units: units),
      panels(for: run) == nil ? units * layout.filledColumns(c.columns) : 0
    )
  }

  /// Those that were packed before, if they can be used: of this layout, with this part, from the beginning of a panel on.
  private func panels(for run: Run) -> UnsafeMutablePointer<UInt32>? {
    guard let packed = run.term.packed, packed.matrix.layout == layout, packed.matrix.has(run.parts.right),
      packed.column % PackedLayout.panelColumns == 0
    else { return nil }
    return packed.matrix.panels(run.parts.right, block: run.block, column: packed.column)
  }

  private func multiply(
    _ run: Run, into product: MatrixProduct<Float>, accumulates: Bool, isLast: Bool,
    left: UnsafeMutablePointer<UInt32>, right scratch: UnsafeMutablePointer<UInt32>
  ) {
    let (term, c, units) = (run.term, product.c, layout.units(run.block.count))
    let stride = layout.rowStride(units: units)
    let right = panels(for: run) ?? scratch
    if right == scratch {
      layout.packRight(
        term.b, transposed: term.transposeB, run.parts.right, block: run.block, columns: 0..<c.columns, into: scratch)
    }
    let finishes = isLast && product.epilogue.isNeeded
    let height = layout.rows(units: units)
    let width = finishes ? Self.epilogueColumns : c.columns
    for row in Swift.stride(from: 0, to: c.rows, by: height) {
      let rows = row..<min(c.rows, row + height)
      let (first, along) = term.transposeA ? (run.block.lowerBound, row) : (row, run.block.lowerBound)
      ckernels_pack_left(
        layout.path, run.parts.left, term.a.base + first * term.a.stride + along, term.a.stride, term.transposeA,
        rows.count, run.block.count, units, left, stride)
      for column in Swift.stride(from: 0, to: c.columns, by: width) {
        let columns = column..<min(c.columns, column + width)
        ckernels_multiply_packed(
          layout.path, rows.count, columns.count, units, left, stride, right + column * units, Float(term.alpha),
          c.base + row * c.stride + column, c.stride, accumulates)
        if finishes {
          product.finish(rows: rows, columns: columns, isFirst: row == 0 && column == 0)
        }
      }
    }
  }
}
