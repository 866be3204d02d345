/// One number from each piece of a parallel pass, added in the order of the pieces whoever computed them.
///
/// `@unchecked Sendable`: each piece writes its own element only, and the total is read after `Workers.perform` returned.
package final class PartialSums: @unchecked Sendable {
  private let values: UnsafeMutableBufferPointer<Double>

  package init(count: Int) {
    values = .allocate(capacity: max(0, count))
    values.initialize(repeating: 0)
  }

  deinit {
    values.deallocate()
  }

  package subscript(piece: Int) -> Double {
    get { values[piece] }
    set { values[piece] = newValue }
  }

  package var total: Double { values.reduce(0, +) }
}
