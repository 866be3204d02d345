/// One token of a sample, padding left out.
package struct Token: Sendable, Equatable {
  package let id: Int32
  /// Its column in the file: the position that the embedding adds.
  package let position: Int32
  /// Segment: 0 unless the data names others.
  package let type: Int32
  /// Its class for tasks that label tokens; negative where it does not count.
  package let label: Int32

  package init(id: Int32, position: Int32, type: Int32 = 0, label: Int32 = -1) {
    self.id = id
    self.position = position
    self.type = type
    self.label = label
  }
}
