import Models

/// Keys of a site's file about a provider that trains for it, beside those of a job's `masking`.
enum ProviderFields {
  static let trainer = JobField<String>.text(
    "trainer", .endpoint, default: .derived("the site trains itself"),
    "A provider's address: local training and scores are then computed there, masked.")
  static let trainerKey = JobField<String>.text(
    "trainer_key", .text(maximum: 4096), default: .derived("given on the command line; only with `trainer`"),
    "File of the provider's public key. Relative to the site file; on the command line, to the working directory.")

  /// All of them, in the order of the interface.
  static let descriptions: [JobFieldDescription] = [
    trainer.description, trainerKey.description,
    JobFields.strength.description.saying(
      "The largest group of keys for what the provider sees; `none` sends rows in the clear. Only with `trainer`."),
    JobFields.shuffleTokens.description.saying(
      "Send the tokens of a sample in a fresh secret order; only where a model does not read their order, and with `trainer`."
    ),
    JobFields.baseModel.description.saying(
      "Whether the provider can have the pretrained weights in the clear. `public`: it can, and with them work out the residual key from "
        + "the masked weights and so every token; `private`: it cannot. Changes no result. Only with `trainer`.",
      default: "required with `trainer` for `model.huggingface` under rotation or permutation"),
  ]
}

extension JobSpecification {
  /// - Returns: nil where the site trains itself.
  /// - Throws: `contradiction` for what a provider cannot do under this charter; `missingKey`; `missingFile`, `notARegularFile`.
  func resolvedProvider(_ places: JobPlaces, _ charter: Charter) throws(JobSpecError) -> SiteProvider? {
    guard let address = self[ProviderFields.trainer] else {
      for description in ProviderFields.descriptions where description.path != ProviderFields.trainer.path {
        try refuse(description.path, "`\(description.path)` stands beside `trainer`, which is missing")
      }
      return nil
    }
    let masking = try resolvedProviderMasking(charter)
    try checkProvider(masking, charter)
    return SiteProvider(address: address, key: try resolvedTrainerKey(places), masking: masking)
  }

  private func resolvedTrainerKey(_ places: JobPlaces) throws(JobSpecError) -> String? {
    guard let path = self[ProviderFields.trainerKey] else { return nil }
    let location = location(of: ProviderFields.trainerKey.path)
    let absolute = places.absolute(path, at: location)
    return places.mustExist
      ? try JobPath.existingFile(absolute, key: ProviderFields.trainerKey.path, at: location) : absolute
  }

  private func resolvedProviderMasking(_ charter: Charter) throws(JobSpecError) -> MaskingDescription {
    let strength = try value(JobFields.strength)
    if case .huggingFace = charter.model {
      if self[JobFields.baseModel] == nil, strength == .rotation || strength == .permutation {
        _ = try required(JobFields.baseModel)
      }
    } else {
      for path in [JobFields.shuffleTokens.path, JobFields.baseModel.path] {
        try refuse(path, "`\(path)` is for `model.huggingface`; delete it")
      }
    }
    return MaskingDescription(
      strength: strength, padding: 0, exact: true, shuffleTokens: self[JobFields.shuffleTokens],
      baseModel: self[JobFields.baseModel])
  }

  /// A provider does whatever the charter asks of local steps; what is refused would give the rows away, or leave noise out.
  private func checkProvider(_ masking: MaskingDescription, _ charter: Charter) throws(JobSpecError) {
    let path = ProviderFields.trainer.path
    if charter.federation.privacy?.unit == .record, try value(SiteFields.localBaseline) {
      throw contradiction(
        SiteFields.localBaseline.path,
        "`local_baseline`: under the charter's `federation.privacy` with `unit: record` it is trained without noise, and a provider (`trainer`) "
          + "makes no private steps without; delete it, or delete `trainer`")
    }
    if charter.federation.masking.strength == .none, masking.strength != .none {
      throw contradiction(
        path,
        "`trainer`: under the charter's `federation.masking.strength: none` everybody who has the charter can draw the starting weights, and a "
          + "provider that knows them works the masks out; agree on a charter with a strength, or say `masking.strength: none` here to send "
          + "rows to the provider in the clear")
    }
  }
}
