import Datasets
package import Federation
import Files
import Foundations
import JobSpec
import Models
import Numerics
import OwnerRole
import SecureSums
import Training

/// The site's vector of each sum.
extension SiteWork {
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
  func classWeights() throws -> [Double]? {
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
    // Before noise is drawn for it. A round that has changed nothing leaves the next one the same model: what a site adds to it then has
    // noise of its own, and is counted.
    if privacy != nil { try directory.remember(model: hash, round: round, mayRecur: true) }
    let strategy = plan.charter.federation.strategy
    var correction: RoundCorrection<Float>?
    var controls: (own: [Float], all: [Tensor<Float>])?
    if strategy.kind.hasControlVariates {
      let own =
        try directory.controls(after: lastRound(before: round) + 1, count: model.count)
        ?? [Float](repeating: 0, count: model.count)
      let all = try model.unmasked(vector[model.count...])
      controls = (own, all)
      correction = .controls(difference: zip(all, tensors(own)).map { $0.minus($1) })
    } else if strategy.mu > 0 {
      correction = .proximal(strength: strategy.mu)
    }
    let outcome = try training.train(
      round: round, from: before, correction: correction, noise: privacy?.stepNoise(round: round, model: hash),
      progress: progress)
    var updates = zip(outcome.weights, before).map { $0.minus($1) }
    if let privacy, privacy.plan.target.unit == .site {
      updates = try privacy.noised(
        updates, model.specifications, round: round, model: hash, workers: compute.workers)
    }
    let weight = plan.charter.federation.weighting == .rows ? trainingRows : 1
    try format.encode(try model.masked(updates), weight: weight, block: VectorBlock.update, into: &entries)
    // A model that nothing changes any more comes back by itself.
    if privacy == nil, try isEffective(format.decode(entries, block: VectorBlock.update), weight, round, on: vector) {
      try directory.remember(model: hash, round: round)
    }
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

  /// Whether an update makes another model of the one that it is of if all others are zeros: not where fixed point has rounded it away, or where
  /// single precision does so with its share of the mean, of which the site knows the least.
  ///
  /// - Parameters:
  ///   - sent: as it is in the sum, times the weight.
  ///   - vector: the model, masked.
  private func isEffective(_ sent: [Double], _ weight: Int, _ round: Int, on vector: [Float]) -> Bool {
    let settings = plan.charter.federation
    let others = plan.cohort(for: .update(round: round)).count - 1
    let weights = weight + others * (settings.weighting == .rows ? settings.fixedPoint.rowsBound : 1)
    let (rule, rate) = (plan.rule, settings.strategy.serverLearningRate)
    return zip(vector, sent).contains { entry, sent in
      let step = rule.leastStep(
        sent / Double(weights), rate: rate, round: round, bound: settings.fixedPoint.updateClip)
      return Float(Double(entry) + step) != entry
    }
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
