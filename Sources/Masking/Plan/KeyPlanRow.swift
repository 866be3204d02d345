package import Architecture

/// One line of the key table: a space and the group its key is drawn from.
package struct KeyPlanRow: Sendable, Equatable {
  package let space: SpaceID
  /// Coordinates the key acts on.
  package let width: Int
  package let group: SymmetryGroup
  /// The operation, loss or setting that allows nothing larger: "relu after layers.0", "masking.strength: permutation".
  package let decidedBy: String
  /// Set on an input space in homogeneous coordinates [x; 1; 0_k].
  package let homogeneous: HomogeneousColumns?

  package init(
    space: SpaceID, width: Int, group: SymmetryGroup, decidedBy: String, homogeneous: HomogeneousColumns? = nil
  ) {
    self.space = space
    self.width = width
    self.group = group
    self.decidedBy = decidedBy
    self.homogeneous = homogeneous
  }
}

/// The space is coded as its bare name, so that `plan --json` reads `"space": "input"`.
extension KeyPlanRow: Codable {
  private enum CodingKeys: String, CodingKey {
    case space, width, group, decidedBy, homogeneous
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    space = SpaceID(try container.decode(String.self, forKey: .space))
    width = try container.decode(Int.self, forKey: .width)
    group = try container.decode(SymmetryGroup.self, forKey: .group)
    decidedBy = try container.decode(String.self, forKey: .decidedBy)
    homogeneous = try container.decodeIfPresent(HomogeneousColumns.self, forKey: .homogeneous)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(space.name, forKey: .space)
    try container.encode(width, forKey: .width)
    try container.encode(group, forKey: .group)
    try container.encode(decidedBy, forKey: .decidedBy)
    try container.encodeIfPresent(homogeneous, forKey: .homogeneous)
  }
}
