import Testing

@testable import Numerics

@Suite struct LargestElementsTests {
  /// The definition: all columns sorted.
  private func definition(_ row: [Float], _ count: Int) -> [Int32] {
    let order = row.indices.sorted { left, right in
      let (a, b) = (row[left], row[right])
      if a.isNaN || b.isNaN { return a.isNaN && b.isNaN ? left < right : b.isNaN }
      return a == b ? left < right : a > b
    }
    return order.prefix(count).map { Int32($0) }
  }

  private func check(_ rows: [[Float]], _ count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
    let width = rows.first?.count ?? 0
    let tensor = Tensor<Float>(rows.joined().map(\.self), shape: [rows.count, width])
    let (values, columns) = tensor.largest(count)
    #expect(values.shape == [rows.count, count] && columns.shape == values.shape, sourceLocation: sourceLocation)
    for (index, row) in rows.enumerated() {
      let expected = definition(row, count)
      #expect(columns.slice(rows: index..<index + 1).elements == expected, sourceLocation: sourceLocation)
      #expect(
        values.slice(rows: index..<index + 1).elements.map(\.bitPattern) == expected.map { row[Int($0)].bitPattern },
        sourceLocation: sourceLocation)
    }
  }

  /// Few different numbers, so that most are equal to others; with NaN and infinities among them.
  @Test(arguments: 1...20) func isItsDefinition(_ seed: UInt64) {
    var state = seed
    func next(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    let special: [Float] = [.nan, -.nan, .infinity, -.infinity, 0, -0.0]
    for width in [1, 2, 63, 64, 65, 300] {
      let kinds = [7, 10_000][next(2)]
      let rows = (0..<3).map { _ in
        (0..<width).map { _ in next(5) == 0 ? special[next(special.count)] : Float(next(kinds) - kinds / 2) }
      }
      for count in Set([1, 2, min(5, width), min(40, width), width]) where count <= width { check(rows, count) }
    }
  }

  /// The orders in which most elements come in, and none.
  @Test func ascendingAndDescendingRows() {
    let ascending = (0..<1000).map { Float($0) }
    for count in [1, 3, 32, 33, 500, 1000] { check([ascending, ascending.reversed()], count) }
  }

  @Test func countsBeyondTheColumnsAreAllOfThem() {
    let tensor = Tensor<Double>([3, 1, .nan, 2], shape: [1, 4])
    #expect(tensor.largest(9).columns.elements == [0, 3, 1, 2])
    #expect(tensor.largest(.max).values.shape == [1, 4])
    #expect(tensor.largest(0).values.shape == [1, 0])
    #expect(tensor.largest(-1).columns.shape == [1, 0])
    #expect(Tensor<Float>(zeros: [2, 0]).largest(3).values.shape == [2, 0])
  }

  @Test func rowsOfNothingButNaNKeepTheirOrder() {
    #expect(Tensor<Float>(repeating: .nan, shape: [1, 5]).largest(3).columns.elements == [0, 1, 2])
  }
}
