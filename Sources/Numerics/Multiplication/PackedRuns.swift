import CKernels

/// One product of packed operands: runs along the blocks of the depth of its terms, each added to what those before it left.
struct PackedRuns {
  /// Columns of C after which the epilogue follows, while they are in cache.
  private static let epilogueColumns = 256

  /// One run along a block of the depth of a term, of one part of the numbers.
  private struct Run {
    let term: ProductTerm<Float>
    let block: Range<Int>
    let parts: PackedParts
    /// Along the block.
    let units: Int
    /// The right operand where it was packed before and can be used: of this layout, with this part, from the beginning of a panel on.
    let packed: UnsafeMutablePointer<UInt32>?
    /// The left operand where it was packed before and can be used: its first row.
    let packedRows: UnsafeMutablePointer<UInt32>?
  }

  private let product: MatrixProduct<Float>
  private let layout: PackedLayout
  private let runs: [Run]
  private let rows: Int
  private let columns: Int

  init(_ product: MatrixProduct<Float>, _ layout: PackedLayout, _ parts: [PackedParts]) {
    self.product = product
    self.layout = layout
    (rows, columns) = (product.c.rows, product.c.columns)
    var runs: [Run] = []
    for term in [product.term, product.addition].compactMap(\.self) {
      for number in 0..<layout.blocks(ofDepth: term.depth) {
        let block = layout.block(number, ofDepth: term.depth)
        for parts in parts where parts.exist(in: term) {
          runs.append(
            Run(
              term: term, block: block, parts: parts, units: layout.units(block.count),
              packed: term.panels(parts.right, block: block, layout),
              packedRows: term.rows(parts.left, block: number, layout)))
        }
      }
    }
    self.runs = runs
  }

  /// - Parameter scratch: where operands are packed.
  func compute(_ scratch: ScratchPool) {
    guard rows > 0, columns > 0 else { return }
    switch product.c {
    case .full(let c): compute(c, scratch)
    case .narrow(let c): compute(c, scratch)
    }
  }

  /// Run by run, each over all of C, which holds the sums in between.
  private func compute(_ c: MatrixView<Float>, _ scratch: ScratchPool) {
    guard let last = runs.indices.last else {
      if !product.accumulates {
        for row in 0..<rows { (c.base + row * c.stride).update(repeating: 0, count: columns) }
      }
      return product.finish(c, rows: 0..<rows, columns: 0..<columns, isFirst: true)
    }
    let leftUnits = runs.map { unitsOfLeft($0, rows: min(rows, layout.rows(units: $0.units))) }.max()
    let rightUnits = runs.map { $0.packed == nil ? $0.units * layout.filledColumns(columns) : 0 }.max()
    withUnits((leftUnits ?? 0) + (rightUnits ?? 0), scratch) { left in
      for (number, run) in runs.enumerated() {
        let right = packRight(run, into: left + (leftUnits ?? 0))
        let finishes = number == last && product.epilogue.isNeeded
        let (height, width) = (layout.rows(units: run.units), finishes ? Self.epilogueColumns : columns)
        for row in Swift.stride(from: 0, to: rows, by: height) {
          let rows = row..<min(rows, row + height)
          let left = packLeft(run, rows: rows, into: left)
          for column in Swift.stride(from: 0, to: columns, by: width) {
            let columns = column..<min(columns, column + width)
            let tile = c.block(rows: rows, columns: columns)
            multiply(run, left, right, column, into: tile, accumulates: product.accumulates || number > 0)
            if finishes { product.finish(tile, rows: rows, columns: columns, isFirst: row == 0 && column == 0) }
          }
        }
      }
    }
  }

  /// Tile by tile, each run after run in floats that stay in cache, then its epilogue, and rounded once.
  private func compute(_ c: MatrixView<BFloat16>, _ scratch: ScratchPool) {
    let height = min(rows, runs.map { layout.rows(units: $0.units) }.min() ?? rows)
    let width = min(columns, Self.epilogueColumns)
    let leftUnits = runs.map { unitsOfLeft($0, rows: height) }
    let rightUnits = runs.map { $0.packed == nil ? $0.units * layout.filledColumns(columns) : 0 }
    withUnits(leftUnits.reduce(0, +) + rightUnits.reduce(0, +) + height * width, scratch) { memory in
      var next = memory
      let scratch = leftUnits.map { units in
        defer { next += units }
        return next
      }
      let rights = zip(runs, rightUnits).map { run, units in
        defer { next += units }
        return packRight(run, into: next)
      }
      let sums = UnsafeMutableRawPointer(next).assumingMemoryBound(to: Float.self)
      for row in Swift.stride(from: 0, to: rows, by: height) {
        let rows = row..<min(rows, row + height)
        let lefts = zip(runs, scratch).map { packLeft($0, rows: rows, into: $1) }
        for column in Swift.stride(from: 0, to: columns, by: width) {
          let columns = column..<min(columns, column + width)
          let tile = MatrixView(sums, rows: rows.count, columns: columns.count, stride: width)
          let target = c.block(rows: rows, columns: columns)
          if product.accumulates {
            target.widen(into: tile)
          } else if runs.isEmpty {
            sums.update(repeating: 0, count: height * width)
          }
          for (number, run) in runs.enumerated() {
            multiply(
              run, lefts[number], rights[number], column, into: tile, accumulates: product.accumulates || number > 0)
          }
          product.finish(tile, rows: rows, columns: columns, isFirst: row == 0 && column == 0)
          target.round(tile)
        }
      }
    }
  }

  /// Memory for so many units, each as large as a float.
  private func withUnits(_ count: Int, _ scratch: ScratchPool, _ body: (UnsafeMutablePointer<UInt32>) -> Void) {
    // The pool has memory of tensor elements; a unit is as large.
    scratch.withMemory(count, of: Int32.self) { memory in
      body(UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self))
    }
  }

  /// - Returns: where the right operand is.
  private func packRight(_ run: Run, into scratch: UnsafeMutablePointer<UInt32>) -> UnsafeMutablePointer<UInt32> {
    if let packed = run.packed { return packed }
    layout.packRight(
      run.term.b, transposed: run.term.transposeB, run.parts.right, block: run.block, columns: 0..<columns,
      into: scratch)
    return scratch
  }

  /// Units of memory that some rows of the left operand are packed into.
  private func unitsOfLeft(_ run: Run, rows: Int) -> Int {
    run.packedRows == nil ? layout.leftUnits(rows: rows, units: run.units) : 0
  }

  /// - Returns: where these rows of the left operand are.
  private func packLeft(
    _ run: Run, rows: Range<Int>, into scratch: UnsafeMutablePointer<UInt32>
  ) -> UnsafeMutablePointer<UInt32> {
    if let packed = run.packedRows { return packed + rows.lowerBound * layout.rowStride(units: run.units) }
    layout.packLeft(
      run.term.a, transposed: run.term.transposeA, run.parts.left, block: run.block, rows: rows, into: scratch)
    return scratch
  }

  /// - Parameter column: of C, the tile's first, where a panel begins.
  private func multiply(
    _ run: Run, _ left: UnsafeMutablePointer<UInt32>, _ right: UnsafeMutablePointer<UInt32>, _ column: Int,
    into tile: MatrixView<Float>, accumulates: Bool
  ) {
    ckernels_multiply_packed(
      layout.path, tile.rows, tile.columns, run.units, left, layout.rowStride(units: run.units),
      right + column * run.units, Float(run.term.alpha), tile.base, tile.stride, accumulates)
  }
}

extension ProductTerm where Element == Float {
  fileprivate func panels(
    _ part: ckernels_number_part, block: Range<Int>, _ layout: PackedLayout
  ) -> UnsafeMutablePointer<UInt32>? {
    guard let packed, packed.matrix.layout == layout, packed.matrix.has(part),
      packed.column % PackedLayout.panelColumns == 0
    else { return nil }
    return packed.matrix.panels(part, block: block, column: packed.column)
  }

  fileprivate func rows(
    _ part: ckernels_number_part, block number: Int, _ layout: PackedLayout
  ) -> UnsafeMutablePointer<UInt32>? {
    guard let packedRows, packedRows.matrix.form.layout == layout, packedRows.matrix.form.has(part) else { return nil }
    return packedRows.matrix.rows(part, block: number, from: packedRows.row)
  }
}

extension PackedParts {
  /// Whether these parts of a term's operands are there: of a bfloat16 number the high part is all.
  fileprivate func exist(in term: ProductTerm<Float>) -> Bool {
    (left == CKERNELS_HIGH_PART || term.a.narrow == nil) && (right == CKERNELS_HIGH_PART || term.b.narrow == nil)
  }
}
