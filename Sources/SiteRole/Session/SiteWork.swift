import Datasets
package import Federation
import Files
import Foundation
import Foundations
import JobSpec
package import Masking
import Models
package import Numerics
import OwnerRole
package import SecureSums
import Training

/// What a site makes for each sum: the same numbers again whenever it is asked again.
///
/// Everything that a sum needs is in the site's file, in the model that the aggregator names, and in the run directory; so a site that was
/// killed while it worked makes the same vector anew.
package final class SiteWork: SiteContribution {
  package let plan: FederationPlan
  package let site: Int
  package let data: PreparedSite
  package let model: GlobalModel<Float>
  private let directory: SiteDirectory
  private let compute: Compute
  private let startingSecret: OrderSecret
  /// Nil where the charter asks for none.
  let privacy: SitePrivacy?
  /// Under privacy, what the site keeps of its own scores; sums have none then.
  private var ownScores: OwnScoreFile?
  /// Made when the first model comes: rows are read once what they are standardised with is known.
  private var training: (any LocalUpdates<Float>)?
  /// Nil where the site trains itself.
  let provider: TrainingProvider?
  /// The run whose secret this one uses again.
  private let repeated: SiteDirectory?

  /// - Parameters:
  ///   - group: nil where the charter masks nothing.
  ///   - secret: for noise and batches; nil for a new one.
  ///   - repeated: the run that the secret is of, if any: rows that are not that run's are refused when they are read.
  ///   - provider: who trains for the site, under the masks that its file asks for.
  /// - Throws: `MaskingError` for a model whose spaces cannot be keyed; as `SitePrivacy.init`; `TrainingError.noSampleNorms` for a model whose records
  ///   cannot be clipped one by one; `FileError`; `SiteError.unsupported` for a provider without a site file that names one, or the other way
  ///   round.
  package init(
    plan: FederationPlan, site: Int, data: PreparedSite, group: GroupKey?, directory: SiteDirectory, compute: Compute,
    secret: PrivacySecret? = nil, repeating repeated: SiteDirectory? = nil, provider: TrainingProvider? = nil
  ) throws {
    guard (provider == nil) == (data.specification.provider == nil) else {
      throw SiteError.unsupported("the site file says who trains (trainer:), and the site is prepared for another")
    }
    self.provider = provider
    self.repeated = repeated
    self.plan = plan
    self.site = site
    self.data = data
    self.directory = directory
    self.compute = compute
    startingSecret = PreparedSite.startingSecret(plan, group)
    model = try GlobalModel(plan: plan, shape: data.prepared.shape, group: group, compute: compute)
    if plan.charter.federation.privacy?.unit == .record,
      let layer = Model(data.prepared.shape.graph).layerWithoutSampleNorms
    {
      throw TrainingError.noSampleNorms(layer: layer)
    }
    privacy = try SitePrivacy(
      plan, site: site, trainingRows: data.prepared.plan.trainingRows, entries: model.count, directory: directory,
      secret: secret)
    if privacy != nil { ownScores = try OwnScoreFile(directory) }
  }

  private var task: LearningTask { plan.charter.task }
  private var trainingRows: Int { data.prepared.plan.trainingRows }

  package var modelEntries: Int { model.count }

  package func check(_ records: [SumRecord]) throws {
    try privacy?.check(records, site: plan.charter.sites[site].name)
  }

  package func begin() throws {
    // One row that cannot be read must not show by when the part ends.
    if privacy?.plan.target.unit == .record { _ = try localTraining() }
  }

  package func remarks() throws -> [SiteEvent] {
    guard let privacy else { return [] }
    return ownScoreList.suffix(1).map(SiteEvent.scored) + [.spent(try privacy.spent)]
  }

  package var introduction: SiteIntroduction {
    SiteIntroduction(
      entries: model.count, columns: columns, model: model.digest(checkpoint: data.prepared.shape.data.checkpoint),
      columnNames: data.columnDigest, records: 0)
  }

  private var columns: Int { data.prepared.shape.data.features }

  package func format(of purpose: SumPurpose) throws -> VectorFormat {
    try plan.format(of: purpose, entries: model.count, columns: columns)
  }

  /// Writes what an outside replay needs: the charter with its defaults, orders and starting weights.
  package func writePlan() throws {
    try AtomicFile.write(
      Data(plan.charter.yaml().utf8), to: directory.run.root.appending(path: "charter.resolved.yaml").path)
    let steps = data.stepsPerRound
    // A plan that stands is left as it is.
    let isPlanned = FileManager.default.fileExists(atPath: directory.run.plan.path)
    let drawn = isPlanned ? nil : try privateSteps()?.drawn(rounds: plan.charter.federation.rounds, of: data)
    try RunSetup.writePlan(
      data.prepared, weights: startingSecret, drawn: drawn,
      rounds: (0..<plan.charter.federation.rounds).map { $0 * steps..<($0 + 1) * steps }, to: directory.run)
    if !FileManager.default.fileExists(atPath: directory.run.names.path) {
      try data.prepared.names.write(to: directory.run.names)
    }
  }

  package func start() throws -> [Float] {
    try model.masked(ownStart())
  }

  /// The starting model as this site draws it, the trained parameters alone.
  func ownStart() throws -> [Tensor<Float>] {
    try startingTensors().trained
  }

  private func startingTensors() throws -> (all: [Tensor<Float>], trained: [Tensor<Float>]) {
    let weights = data.prepared.shape.startingWeights(secret: startingSecret)
    let specifications = data.prepared.shape.structure.parameters
    let all: [Tensor<Float>] = try specifications.map { try weights.tensor($0) }
    return (all, zip(specifications, all).filter { $0.0.isTrained }.map(\.1))
  }

  package func isStart(_ vector: [Float]) throws -> Bool {
    let own = try ownStart()
    let theirs = try model.unmasked(vector[..<model.count])
    // Masking rounds each entry by a few units in the last place of the largest of its row.
    return zip(own, theirs).allSatisfy { own, theirs in
      let largest = own.elements.reduce(Float(0)) { max($0, abs($1)) }
      return zip(own.elements, theirs.elements).allSatisfy { abs($0 - $1) <= 1e-5 * max(largest, 1e-3) }
    }
  }

  package func pooledCount(of purpose: SumPurpose) throws -> Int {
    switch purpose {
    case .means, .deviations: columns + 1
    case .classCounts: plan.charter.data.classes.count
    case .update, .evaluation: 0
    }
  }

  // MARK: - Vectors

  /// - Parameters:
  ///   - vector: the model that the sum is about, masked (`FederationPlan.modelLength`); empty for none.
  ///   - progress: steps done and in all; called often, and what it throws ends the work.
  /// - Throws: `FixedPointError` for a number outside the charter's bounds; `OwnerError.diverged`; what reading throws.
  package func entries(
    for purpose: SumPurpose, model vector: [Float], progress: (Int, Int) throws -> Void
  ) throws -> [UInt64] {
    let format = try format(of: purpose)
    var entries = format.vector()
    switch purpose {
    case .means, .deviations:
      try format.encode(try columnSums(purpose), block: VectorBlock.columns, into: &entries)
      try format.encode(integers: [trainingRows], block: VectorBlock.rows, into: &entries)
    case .classCounts:
      try format.encode(integers: classCounts, block: VectorBlock.classes, into: &entries)
    case .update(let round):
      try encodeUpdate(round, model: vector, format, into: &entries, progress: progress)
      if let privacy {
        try privacy.count(round: round, model: ModelHash.of(vector).hexadecimal, entries: entries)
        // Whoever ends the run here knows what it has spent.
        try RunFile.write(try privacy.report(), to: directory.privacyReport)
      }
    case .evaluation(let rounds):
      var statistics = SiteStatistics(task: task)
      try addScore(of: rounds, model: vector, to: &statistics, progress: progress)
      try statistics.encode(into: &entries, format: format)
    }
    return entries
  }

  private func columnSums(_ purpose: SumPurpose) throws -> [Double] {
    guard case .features(let source) = data.prepared.source else {
      throw SiteError.unsupported("data.standardize: pooled needs rows of features, not tokens")
    }
    guard case .deviations = purpose else {
      return try PooledStatistics.sums(source, rows: data.prepared.split.training)
    }
    guard let means = try directory.pooled(.means).flatMap(PooledStatistics.means) else {
      throw SiteError.aggregatorLies("the aggregator asks for deviations before it said what the means are")
    }
    return try PooledStatistics.sums(source, rows: data.prepared.split.training, about: means)
  }

  /// Training rows of each class.
  private var classCounts: [Int] {
    var counts = [Int](repeating: 0, count: plan.charter.data.classes.count)
    guard case .classes(let labels)? = data.prepared.labels?.column else { return counts }
    for row in data.prepared.split.training where counts.indices.contains(Int(labels.ids[row])) {
      counts[Int(labels.ids[row])] += 1
    }
    return counts
  }

  /// What a row of each class counts in the loss; nil where all count 1.
  private func classWeights() throws -> [Double]? {
    guard plan.charter.federation.classWeights == .balanced else { return nil }
    guard let counts = try directory.pooled(.classCounts) else {
      throw SiteError.aggregatorLies("the aggregator asks for an update before it said how many rows each class has")
    }
    guard zip(counts, classCounts).allSatisfy({ $0 >= Double($1) }) else {
      throw SiteError.aggregatorLies("the sum of a class's rows over all sites is below this site's own")
    }
    return PooledStatistics.classWeights(counts)
  }

  private func encodeUpdate(
    _ round: Int, model vector: [Float], _ format: VectorFormat, into entries: inout [UInt64],
    progress: (Int, Int) throws -> Void
  ) throws {
    let training = try localTraining { try progress(0, data.stepsPerRound) }
    let before = try model.unmasked(vector[..<model.count])
    let hash = ModelHash.of(vector).hexadecimal
    // Before noise is drawn for it.
    if privacy != nil { try directory.remember(model: hash, round: round) }
    let strategy = plan.charter.federation.strategy
    var correction: (any GradientCorrection<Float>)?
    var controls: (own: [Float], all: [Tensor<Float>])?
    if strategy.kind.hasControlVariates {
      let own = try directory.controls(before: round, count: model.count) ?? [Float](repeating: 0, count: model.count)
      let all = try model.unmasked(vector[model.count...])
      controls = (own, all)
      correction = ControlVariates(difference: zip(all, tensors(own)).map { $0.minus($1) })
    } else if strategy.mu > 0 {
      correction = ProximalTerm(strength: strategy.mu, origin: before)
    }
    let outcome = try training.train(
      round: round, from: before, correction: correction, noise: privacy?.stepNoise(round: round, model: hash),
      progress: progress)
    var updates = zip(outcome.weights, before).map { $0.minus($1) }
    if let privacy, privacy.plan.target.unit == .site {
      updates = try privacy.noised(
        updates, model.specifications, round: round, model: hash, workers: compute.workers)
    }
    // A model that nothing changes any more comes back by itself, and its updates tell nothing.
    if privacy == nil, updates.contains(where: { $0.elements.contains { $0 != 0 } }) {
      try directory.remember(model: hash, round: round)
    }
    let weight = plan.charter.federation.weighting == .rows ? trainingRows : 1
    try format.encode(try model.masked(updates), weight: weight, block: VectorBlock.update, into: &entries)
    if let controls {
      // Option II: c_k⁺ = c_k − c + (θ − θ_k) / Σ rates; the sum is of c_k⁺ − c_k.
      let changes = zip(controls.all, updates).map { all, update in
        update.map { Float(-Double($0) / outcome.rateSum) }.minus(all)
      }
      let changed = zip(controls.own, changes.flatMap(\.elements)).map { $0 + $1 }
      try directory.storePending(changed, round: round)
      try format.encode(try model.masked(changes), block: VectorBlock.controls, into: &entries)
    }
    guard plan.hasStatistics else {
      return try keepOwnScore(of: round, model: vector, progress: progress)
    }
    var statistics = SiteStatistics(task: task)
    statistics.weight = weight
    statistics.trainingRows = trainingRows
    statistics.localLoss = outcome.lossSum / Double(max(1, outcome.observed)) * Double(trainingRows)
    try addScore(of: round, model: vector, to: &statistics, progress: progress)
    try statistics.encode(into: &entries, format: format)
  }

  /// The score of a model on the site's own validation rows; nil where it has none.
  private func score(
    _ vector: [Float], progress: (Int, Int) throws -> Void
  ) throws -> LocalTraining<Float>.Score? {
    let steps = data.stepsPerRound
    return try localTraining(progress: { try progress(0, steps) }).evaluate(
      try model.unmasked(vector[..<model.count]), progress: { try progress(steps, steps) })
  }

  private func keepOwnScore(
    of rounds: Int, model vector: [Float], progress: (Int, Int) throws -> Void
  ) throws {
    guard let score = try score(vector, progress: progress) else { return }
    try ownScores?.append(OwnScore(rounds: rounds, validationRows: score.rows, values: score.values))
  }

  /// The scores that a site of a private run keeps for itself; none where sums have them.
  package var ownScoreList: [OwnScore] { ownScores?.scores ?? [] }

  package var privacyPlan: PrivacyPlan? { privacy?.plan }

  /// What has been spent so far; nil where the charter asks for no privacy.
  package func privacyReport() throws -> PrivacyReport? { try privacy?.report() }

  private func addScore(
    of rounds: Int, model vector: [Float], to statistics: inout SiteStatistics, progress: (Int, Int) throws -> Void
  ) throws {
    guard let score = try score(vector, progress: progress) else { return }
    statistics.validationRows = score.rows
    statistics.validationLoss = score.lossSum / Double(max(1, score.observed)) * Double(score.rows)
    for (place, name) in SiteStatistics.metricNames(task).enumerated() {
      guard let value = score.metrics[name] else { continue }
      statistics.metrics[place] = (SiteStatistics.isError(name) ? value * value : value) * Double(score.rows)
      statistics.metricRows[place] = score.rows
    }
  }

  // MARK: - Local training

  /// - Parameter progress: called while rows are read for the first time; what it throws ends that.
  func localTraining(progress: () throws -> Void = {}) throws -> any LocalUpdates<Float> {
    if let training { return training }
    let prepared = data.prepared
    let jobs = try provider.map { _ in try directory.providerJobs(plan, masking: prepared.job.masking) }
    let master = jobs?.master ?? MasterKey()
    let keys = JobKeys<Float>(master: master, plan: prepared.shape.keyPlan, compute: compute)
    var times = PhaseTimes()
    let (samples, hash) = try prepared.readSamples(
      keys: keys, master: master, noise: nil, standardization: try standardization(),
      scratch: directory.run.state, times: &times, progress: { _, _ in try progress() })
    try DataDigest.keepOrCheck(prepared, features: hash, in: directory.run)
    if let repeated { try SitePrivacy.check(prepared, features: hash, areRowsOf: repeated) }
    let training: any LocalUpdates<Float>
    if let provider, let jobs {
      training = ProviderTraining(
        provider.rounds(
          prepared, keys: keys, samples: samples, initial: prepared.shape.startingWeights(secret: startingSecret),
          classWeights: try classWeights(), jobs: jobs), stepsPerRound: data.stepsPerRound)
    } else {
      training = try LocalTraining(
        prepared: prepared, samples: samples, initial: try startingTensors().all, stepsPerRound: data.stepsPerRound,
        rounds: plan.charter.federation.rounds, classWeights: try classWeights(), privateSteps: try privateSteps(),
        compute: compute)
    }
    self.training = training
    return training
  }

  private func privateSteps() throws -> PrivateSteps? {
    try privacy?.localSteps(plan.charter, trainingRows: trainingRows)
  }

  /// What rows are standardised with; nil where the charter asks for nothing.
  func standardization() throws -> Standardization? {
    let file = directory.run.standardization
    if let known = try ModelDirectory.readStandardization(file) { return known }
    guard case .features(let source) = data.prepared.source else { return nil }
    var fitted: Standardization?
    switch plan.charter.data.standardize {
    case .none: return nil
    case .site: fitted = try Standardization.fit(source, rows: data.prepared.split.training)
    case .pooled:
      guard let means = try directory.pooled(.means).flatMap(PooledStatistics.means),
        let squares = try directory.pooled(.deviations)
      else {
        throw SiteError.aggregatorLies("the aggregator asks for an update before it said how columns are standardised")
      }
      fitted = PooledStatistics.standardization(means: means, squares: squares)
    }
    guard let fitted else { throw SiteError.aggregatorLies("the sums that columns are standardised by are of no rows") }
    try ModelDirectory.writeStandardization(fitted, to: file)
    return fitted
  }

  /// Writes `model/`: the global model, unmasked.
  package func write(_ vector: [Float], to directory: SiteDirectory) throws {
    let tensors = try model.unmasked(vector[..<model.count])
    try ModelDirectory(directory.run.model).write(
      NamedTensors(zip(model.specifications.map(\.name), tensors).map { ($0, $1) }), shape: data.prepared.shape,
      standardization: try standardization(), names: data.prepared.names,
      origin: .federation(sites: plan.charter.sites.count))
  }

  private func tensors(_ vector: [Float]) -> [Tensor<Float>] {
    var start = 0
    return model.specifications.map { specification in
      let count = specification.shape.reduce(1, *)
      defer { start += count }
      return Tensor(Array(vector[start..<start + count]), shape: specification.shape)
    }
  }
}

extension Tensor<Float> {
  fileprivate func minus(_ other: Tensor<Float>) -> Tensor<Float> {
    Tensor(zip(elements, other.elements).map { $0 - $1 }, shape: shape)
  }

  fileprivate func map(_ change: (Float) -> Float) -> Tensor<Float> {
    Tensor(elements.map(change), shape: shape)
  }
}
