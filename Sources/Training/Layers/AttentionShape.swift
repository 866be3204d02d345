/// The heads of an attention layer.
struct AttentionShape: Sendable, Equatable {
  /// Query heads, a multiple of `groups`.
  let heads: Int
  /// Heads of keys and values; query heads h · heads/groups … share head h (Ainslie et al., 2023).
  let groups: Int
  let headWidth: Int
  /// Whether a token looks at itself and those before it alone.
  let isCausal: Bool

  var headsAGroup: Int { heads / groups }
}
