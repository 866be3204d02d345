/// The tokens of some rows one after another, padding left out.
package struct TokenRows: Sendable, Equatable {
  /// [tokens]
  package let ids: [Int32]
  /// [tokens]: the column in the file that a token stands in, ascending in each row.
  package let positions: [Int32]
  /// [tokens]: 0 where the file has no types.
  package let types: [Int32]
  /// [rows + 1]: where a row begins; the last is the number of tokens. No row is empty.
  package let offsets: [Int]

  package init(ids: [Int32], positions: [Int32], types: [Int32], offsets: [Int]) {
    self.ids = ids
    self.positions = positions
    self.types = types
    self.offsets = offsets
  }

  package var rows: Int { offsets.count - 1 }
  package var tokens: Int { ids.count }

  /// The tokens of row `index`, counted from the first row that was read.
  package subscript(row index: Int) -> Range<Int> { offsets[index]..<offsets[index + 1] }
}
