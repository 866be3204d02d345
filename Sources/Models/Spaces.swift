/// The name of an activation space, stable across versions because keys are expanded from it (`job/space/kind`).
package struct SpaceID: Hashable, Sendable, Codable, CustomStringConvertible {
  package let name: String

  package init(_ name: String) {
    self.name = name
  }

  package var description: String { name }

  package init(from decoder: any Decoder) throws {
    name = try decoder.singleValueContainer().decode(String.self)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }
}

/// A vector space that activations live in; one secret key acts on it.
package struct Space: Sendable, Equatable {
  package let id: SpaceID
  /// Coordinates a vector has, at least 1.
  package let width: Int
  /// Set on an input space in homogeneous coordinates [x; 1; 0_k].
  package let homogeneous: HomogeneousColumns?
  package let form: SpaceForm

  package init(id: SpaceID, width: Int, homogeneous: HomogeneousColumns? = nil, form: SpaceForm = .whole) {
    self.id = id
    self.width = width
    self.homogeneous = homogeneous
    self.form = form
  }
}

/// How an input row is laid out before masking: x̃ = [x; 1; 0_k], so that one orthogonal Q gives x' = T x + δ with
/// T = Q[:, 0..<d], δ = Q[:, d], and the first layer's bias is the weight on the δ direction.
package struct HomogeneousColumns: Sendable, Equatable, Codable {
  /// d: the features of a row, at least 1.
  package let features: Int
  /// k: zero columns appended before masking, at least 0.
  package let padding: Int

  package init(features: Int, padding: Int) {
    self.features = features
    self.padding = padding
  }

  /// d + 1 + k.
  package var width: Int { features + 1 + padding }
}

/// Coded as `id` and `width`, with `homogeneous`, and `heads` or `sameOrderAs` for a form that is not whole.
extension Space: Codable {
  private enum CodingKeys: CodingKey {
    case id, width, homogeneous, heads, sameOrderAs
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let heads = try container.decodeIfPresent(HeadsForm.self, forKey: .heads)
    let leader = try container.decodeIfPresent(SpaceID.self, forKey: .sameOrderAs)
    guard heads == nil || leader == nil else {
      throw DecodingError.dataCorruptedError(
        forKey: .sameOrderAs, in: container, debugDescription: "a space of two forms")
    }
    try self.init(
      id: container.decode(SpaceID.self, forKey: .id), width: container.decode(Int.self, forKey: .width),
      homogeneous: container.decodeIfPresent(HomogeneousColumns.self, forKey: .homogeneous),
      form: heads.map(SpaceForm.heads) ?? leader.map { .sameOrder(as: $0.name) } ?? .whole)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(id, forKey: .id)
    try container.encode(width, forKey: .width)
    try container.encodeIfPresent(homogeneous, forKey: .homogeneous)
    switch form {
    case .whole: break
    case .heads(let heads): try container.encode(heads, forKey: .heads)
    case .sameOrder(let leader): try container.encode(leader, forKey: .sameOrderAs)
    }
  }
}

/// How a space's key is made of smaller ones; the group says what those may be.
package enum SpaceForm: Sendable, Equatable {
  /// One key over all coordinates.
  case whole
  /// The heads of an attention layer: their order is secret, and each has a key of its own.
  case heads(HeadsForm)
  /// A permutation that another space's key is too, with signs of its own where the group has signs.
  case sameOrder(as: String)
}

/// A space whose coordinates are heads × headWidth, keyed head by head (equivariance: q and k share a head's key, v and the
/// context share another, and all four go through the heads in one order).
package struct HeadsForm: Sendable, Equatable, Codable {
  /// Names the attention layer: spaces with the same name share the order of groups and heads.
  package let attention: String
  /// Names the keys of the heads: spaces with the same `attention` and `rotation` share them, group by group.
  package let rotation: String
  /// Heads in this space, a multiple of `groups`.
  package let heads: Int
  /// Heads of keys and values: query heads of one group share its key.
  package let groups: Int
  package let headWidth: Int
  /// A head's key is then one rotation in the plane of coordinates (i, i + headWidth/2) for each i.
  package let isRotary: Bool

  package init(attention: String, rotation: String, heads: Int, groups: Int, headWidth: Int, isRotary: Bool) {
    self.attention = attention
    self.rotation = rotation
    self.heads = heads
    self.groups = groups
    self.headWidth = headWidth
    self.isRotary = isRotary
  }
}

/// The groups a space's key may be drawn from, smallest first; each contains the ones before it.
///
/// The lattice of `trivial ⊂ permutation ⊂ signedPermutation ⊂ orthogonal`; a space gets the minimum of what its layers,
/// its optimizer and the job's strength allow.
package enum SymmetryGroup: String, Sendable, Codable, CaseIterable, Comparable {
  case trivial
  case permutation
  case signedPermutation
  case orthogonal

  private var rank: Int {
    switch self {
    case .trivial: 0
    case .permutation: 1
    case .signedPermutation: 2
    case .orthogonal: 3
    }
  }

  package static func < (left: SymmetryGroup, right: SymmetryGroup) -> Bool {
    left.rank < right.rank
  }
}

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
