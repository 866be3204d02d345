import Architecture

extension JobSpecification {
  /// What is masked how, and whether the owner said what it must say of a pretrained model.
  func resolvedMasking() throws(JobSpecError) -> MaskingDescription {
    let strength = try value(JobFields.strength)
    let adapterWidth = try resolvedAdapter()
    if isTransformer, self[JobFields.baseModel] == nil, strength == .rotation || strength == .permutation {
      throw JobSpecError(
        .missingKey(
          JobFields.baseModel.path,
          meaning:
            "under `masking.strength: \(strength.rawValue)` say whether the trainer can have the pretrained weights. "
            + "`public`: it can (they are published, or known to it), and can then work out the residual key from the masked "
            + "weights and with it every token; `private`: only you have them."),
        at: SourceLocation(source: source))
    }
    return MaskingDescription(
      strength: strength, padding: self[JobFields.padding] ?? (isTransformer || adapterWidth != nil ? 0 : 1),
      exact: try value(JobFields.exact), shuffleTokens: self[JobFields.shuffleTokens],
      baseModel: self[JobFields.baseModel], adapterWidth: adapterWidth, noise: self[JobFields.noise])
  }

  /// The bounds that an audit must keep; nil where none is given.
  func resolvedAudit() -> AuditGate? {
    let gate = AuditGate(
      knownRowsMin: self[JobFields.knownRowsMin], spectralRecoveryMax: self[JobFields.spectralRecoveryMax],
      sourceSeparationMax: self[JobFields.sourceSeparationMax], linkageMax: self[JobFields.linkageMax],
      keyErrorMin: self[JobFields.keyErrorMin], tokenRecoveryMax: self[JobFields.tokenRecoveryMax],
      labelInformationMax: self[JobFields.labelInformationMax], matchingMax: self[JobFields.matchingMax],
      membershipMax: self[JobFields.membershipMax])
    return gate == AuditGate() ? nil : gate
  }

  private func resolvedAdapter() throws(JobSpecError) -> Int? {
    guard let width = self[JobFields.adapterWidth] else { return nil }
    if isTransformer {
      throw contradiction(
        JobFields.adapterWidth.path,
        "`masking.adapter` is for `model.mlp`: the token vectors of a transformer are its residual stream, which the pretrained "
          + "weights read at every block, so that a layer before it would hide nothing; delete it")
    }
    if self[JobFields.padding] ?? 0 > 0 {
      throw contradiction(
        JobFields.padding.path,
        "`masking.padding` cannot stand beside `masking.adapter`: its zero columns would show through the adapter's weights; "
          + "delete it")
    }
    return width
  }
}
