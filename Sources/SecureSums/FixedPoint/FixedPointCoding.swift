extension VectorFormat {
  /// Writes values of a fixed-point block, times the weight, rounded to nearest, ties to even.
  ///
  /// Exact before the rounding where value and weight have at most 53 bits together, so for every float with a weight up to 2²⁹.
  ///
  /// - Parameters:
  ///   - weight: 1 … the block's `weightBound`.
  ///   - offset: where in the block the first of them goes.
  ///   - vector: as `vector()` gives it.
  /// - Throws: `.outOfClip` and `.notFinite` with the entry's place in the block, before anything is written past it; `.weight`;
  ///   `.misplaced`.
  package func encode(
    _ values: UnsafeBufferPointer<Float>, weight: Int = 1, block name: String, at offset: Int = 0,
    into vector: inout [UInt64]
  ) throws(FixedPointError) {
    try encode(values, weight: weight, name, offset, &vector) { $0.rounded(.toNearestOrEven) }
  }

  package func encode(
    _ values: [Float], weight: Int = 1, block name: String, at offset: Int = 0, into vector: inout [UInt64]
  ) throws(FixedPointError) {
    try encode(values, weight: weight, name, offset, &vector) { $0.rounded(.toNearestOrEven) }
  }

  package func encode(
    _ values: [Double], weight: Int = 1, block name: String, at offset: Int = 0, into vector: inout [UInt64]
  ) throws(FixedPointError) {
    try encode(values, weight: weight, name, offset, &vector) { $0.rounded(.toNearestOrEven) }
  }

  /// The same, rounded down or up with the chances that make the mean exact; one 64-bit number of the generator an entry.
  package func encode(
    _ values: [Float], weight: Int = 1, block name: String, at offset: Int = 0, into vector: inout [UInt64],
    stochastic generator: inout some RandomNumberGenerator
  ) throws(FixedPointError) {
    try encode(values, weight: weight, name, offset, &vector) { Self.roundedByChance($0, &generator) }
  }

  package func encode(
    _ values: [Double], weight: Int = 1, block name: String, at offset: Int = 0, into vector: inout [UInt64],
    stochastic generator: inout some RandomNumberGenerator
  ) throws(FixedPointError) {
    try encode(values, weight: weight, name, offset, &vector) { Self.roundedByChance($0, &generator) }
  }

  /// Writes values of an integer block.
  ///
  /// - Throws: `.outOfClip`, `.misplaced`.
  package func encode(
    integers values: [Int], block name: String, at offset: Int = 0, into vector: inout [UInt64]
  ) throws(FixedPointError) {
    let (block, range) = try place(name, offset, values.count, vector)
    guard case .integer(let bound) = block.kind else { throw .misplaced("\(name) is not a block of integers") }
    for (index, value) in values.enumerated() {
      guard value.magnitude <= UInt(bound) else { throw .outOfClip(block: name, index: offset + index) }
      vector[range.lowerBound + index] = UInt64(bitPattern: Int64(value))
    }
  }

  /// A fixed-point block of a sum: Σ weight · value over the sites, not divided by anything.
  ///
  /// - Throws: `.misplaced`.
  package func decode(_ sum: [UInt64], block name: String) throws(FixedPointError) -> [Double] {
    let (block, range) = try place(name, 0, nil, sum)
    guard case .fixedPoint(_, let fractionBits, _) = block.kind else {
      throw .misplaced("\(name) is not a block of fixed-point numbers")
    }
    let scale = Double(sign: .plus, exponent: -fractionBits, significand: 1)
    return sum[range].map { Double(Int64(bitPattern: $0)) * scale }
  }

  /// An integer block of a sum.
  ///
  /// - Throws: `.misplaced`.
  package func decodeIntegers(_ sum: [UInt64], block name: String) throws(FixedPointError) -> [Int] {
    let (block, range) = try place(name, 0, nil, sum)
    guard case .integer = block.kind else { throw .misplaced("\(name) is not a block of integers") }
    return sum[range].map { Int(Int64(bitPattern: $0)) }
  }

  private static func roundedByChance(_ value: Double, _ generator: inout some RandomNumberGenerator) -> Double {
    let below = value.rounded(.down)
    // A multiple of 2⁻⁵³ in [0, 1).
    let uniform = Double(generator.next() >> 11) * 0x1p-53
    return uniform < value - below ? below + 1 : below
  }

  private func encode<Value: BinaryFloatingPoint>(
    _ values: some RandomAccessCollection<Value>, weight: Int, _ name: String, _ offset: Int, _ vector: inout [UInt64],
    round: (Double) -> Double
  ) throws(FixedPointError) {
    let (block, range) = try place(name, offset, values.count, vector)
    guard case .fixedPoint(let clip, let fractionBits, let weightBound) = block.kind else {
      throw .misplaced("\(name) is not a block of fixed-point numbers")
    }
    guard (1...weightBound).contains(weight) else { throw .weight(block: name) }
    let scale = Double(sign: .plus, exponent: fractionBits, significand: 1)
    let weight = Double(weight)
    var index = range.lowerBound
    for value in values {
      let value = Double(value)
      // False for NaN too.
      guard abs(value) <= clip else {
        let place = index - range.lowerBound + offset
        throw value.isFinite ? .outOfClip(block: name, index: place) : .notFinite(block: name, index: place)
      }
      // At most 2⁶² by the table of bits, and 1 more for what is rounded up: an Int64 holds it.
      vector[index] = UInt64(bitPattern: Int64(round(value * weight * scale)))
      index += 1
    }
  }

  /// The block and where in the vector `count` of its entries from `offset` on lie (all that are left for nil).
  private func place(
    _ name: String, _ offset: Int, _ count: Int?, _ vector: [UInt64]
  ) throws(FixedPointError) -> (Block, Range<Int>) {
    guard let block = blocks.first(where: { $0.name == name }), let range = range(of: name) else {
      throw .misplaced("no block is called \(name)")
    }
    guard vector.count == self.count else {
      throw .misplaced("a vector of \(vector.count) entries, expected \(self.count)")
    }
    guard offset >= 0, offset <= block.count, (count ?? 0) <= block.count - offset else {
      throw .misplaced("\(count ?? 0) entries at \(offset) of \(name), which has \(block.count)")
    }
    let start = range.lowerBound + offset
    return (block, start..<(count.map { start + $0 } ?? range.upperBound))
  }
}
