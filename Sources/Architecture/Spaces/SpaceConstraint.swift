/// The largest group under which one operation on a space still commutes with the key, and which operation that is.
package struct SpaceConstraint: Sendable, Equatable {
  package let space: SpaceID
  package let largest: SymmetryGroup
  /// What decides it, as a person would name it: "relu after layers.0".
  package let reason: String

  package init(space: SpaceID, largest: SymmetryGroup, reason: String) {
    self.space = space
    self.largest = largest
    self.reason = reason
  }
}
