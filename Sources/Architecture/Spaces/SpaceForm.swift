/// How a space's key is made of smaller ones; the group says what those may be.
package enum SpaceForm: Sendable, Equatable, Codable {
  /// One key over all coordinates.
  case whole
  /// The heads of an attention layer: their order is secret, and each has a key of its own.
  case heads(HeadsForm)
  /// A permutation that another space's key is too, with signs of its own where the group has signs.
  case sameOrder(as: String)
}
