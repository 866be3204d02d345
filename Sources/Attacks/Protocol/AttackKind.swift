/// The attacks of an audit, in the order of its report.
package enum AttackKind: String, Sendable, Codable, CaseIterable {
  case knownRows = "known_rows"
  case spectralAlignment = "spectral_alignment"
  case sourceSeparation = "source_separation"
  case linkage
  case baseWeights = "base_weights"
  case tokenMatching = "token_matching"
  case labelInference = "label_inference"
  case matchingGame = "matching_game"
  case modelMembership = "model_membership"
}
