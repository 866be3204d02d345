import Models

extension SpecificationSchema {
  static let charter = SpecificationSchema(
    document: "the charter", fields: charterFields, lists: ["sites": CharterFields.siteCount],
    neverEmpty: ["federation.privacy", "federation.stop"])

  static let site = SpecificationSchema(document: "the site file", fields: siteFields)

  /// In the order of the interface; a key that is not listed here is unknown to the parser.
  private static let charterFields: [JobFieldDescription] =
    [
      CharterFields.name.description, CharterFields.address.description, CharterFields.aggregatorKey.description,
      CharterFields.siteName.description, CharterFields.siteKey.description,
      CharterFields.columns.description, CharterFields.columnsFile.description, CharterFields.classes.description,
      CharterFields.standardize.description,
    ] + charterTraining + charterFederation

  private static let charterTraining: [JobFieldDescription] = [
    JobFields.task.description, JobFields.hidden.description, JobFields.activation.description,
    JobFields.huggingFace.description.saying(
      "A directory with config.json and model.safetensors of a pretrained model, the same at every site. Relative to the charter's "
        + "own file; on the command line, to the working directory."),
    JobFields.pool.description,
    JobFields.classes.description.saying(
      "Number of classes or label columns.",
      default: "that of `data.classes`; required for `token-classification`; else counted in the labels"),
    JobFields.trainedPart.description, JobFields.rank.description, JobFields.alpha.description,
    JobFields.targets.description,
    JobFields.optimizer.description.saying("The update rule at the sites, which begins afresh in each round."),
    JobFields.learningRate.description, JobFields.momentum.description, JobFields.nesterov.description,
    JobFields.weightDecay.description, JobFields.clipNorm.description,
    JobFields.warmup.description.saying("Share of all local steps of the run over which the learning rate rises."),
    JobFields.decay.description.saying("How the learning rate falls after the warm-up, over all rounds."),
    JobFields.batch.description,
    JobFields.microBatch.description.saying(
      "Rows that are computed at once: parts of a batch. At most `batch`; does not change the result. For `task: survival` it is "
        + "`batch`: the loss compares the rows of a batch with each other."),
    JobFields.recompute.description,
    JobFields.precision.description.saying(
      "Numbers that the sites compute their local steps in, or the providers that train for them; what is sent to the aggregator is the same "
        + "in all. `bfloat16`: products of rounded numbers; `bfloat16x3`: float32 by three bfloat16 products, where a site's processor makes "
        + "that faster (AMX), else float32."),
    JobFields.seed.description.saying(
      "Seed of the starting weights and of the order of rows at the sites, with secrets of the group beside it."),
    JobFields.keep.description.saying(
      "Which weights are the result: the last, or those of the round with the best validation metric, pooled over the sites."
    ),
  ]

  private static let charterFederation: [JobFieldDescription] = [
    StrategyFields.name.description, StrategyFields.serverLearningRate.description,
    StrategyFields.momentum.description, StrategyFields.betas.description, StrategyFields.tau.description,
    StrategyFields.mu.description, StrategyFields.weighting.description,
    CharterFields.rounds.description, CharterFields.updates.description, CharterFields.epochs.description,
    CharterFields.full.description,
    CharterFields.minimum.description, CharterFields.fraction.description, CharterFields.patience.description,
    CharterFields.updateClip.description, CharterFields.controlClip.description,
    CharterFields.rowsBound.description, CharterFields.statisticsBound.description,
    CharterFields.aggregation.description, CharterFields.threshold.description,
    CharterFields.strength.description, CharterFields.baseModel.description,
    CharterFields.privacyUnit.description, CharterFields.privacyClip.description, CharterFields.epsilon.description,
    CharterFields.delta.description, CharterFields.colluders.description,
    CharterFields.stopPatience.description, CharterFields.classWeights.description,
  ]

  private static let siteFields: [JobFieldDescription] =
    [
      SiteFields.name.description,
      JobFields.file.description.saying(
        "The HDF5 file. Relative to the site file; on the command line, to the working directory."),
      JobFields.features.description, SiteFields.columns.description,
      JobFields.tokens.description, JobFields.mask.description, JobFields.types.description,
      JobFields.labels.description, JobFields.time.description, JobFields.event.description,
      JobFields.validation.description, JobFields.splitSeed.description, JobFields.splitBy.description,
      JobFields.modulo.description, JobFields.equals.description, JobFields.validationRows.description,
      SiteFields.threads.description, SiteFields.localBaseline.description,
    ] + ProviderFields.descriptions
}
