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
