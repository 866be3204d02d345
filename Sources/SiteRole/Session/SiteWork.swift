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
  let directory: SiteDirectory
  let compute: Compute
  /// Nil where the charter masks nothing.
  private let groupCheck: String?
  let startingSecret: OrderSecret
  /// Rounds whose sums have this site's update, as their records say.
  private var rounds: Set<Int> = []
  /// Nil where the charter asks for none.
  let privacy: SitePrivacy?
  /// Under privacy, what the site keeps of its own scores; sums have none then.
  var ownScores: OwnScoreFile?
  /// Made when the first model comes: rows are read once what they are standardised with is known.
  var training: (any LocalUpdates<Float>)?
  /// Nil where the site trains itself.
  let provider: TrainingProvider?
  /// The run whose secret this one uses again.
  let repeated: SiteDirectory?

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
    groupCheck = group?.check(charter: plan.digest)
    model = try GlobalModel(plan: plan, shape: data.prepared.shape, group: group, compute: compute)
    if plan.charter.federation.privacy?.unit == .record,
      let layer = Model(data.prepared.shape.graph).layerWithoutSampleNorms
    {
      throw TrainingError.noSampleNorms(layer: layer)
    }
    privacy = try SitePrivacy(
      plan, site: site, trainingRows: data.prepared.plan.trainingRows, entries: model.count, directory: directory,
      secret: secret, isProvided: provider != nil)
    if privacy != nil { ownScores = try OwnScoreFile(directory) }
  }

  var task: LearningTask { plan.charter.task }
  var trainingRows: Int { data.prepared.plan.trainingRows }

  package var modelEntries: Int { model.count }

  package func check(_ records: [SumRecord]) throws {
    let name = plan.charter.sites[site].name
    try privacy?.check(records, site: name)
    for record in records where record.survivors.contains(name) {
      if case .update(let round)? = SumPurpose(record.purpose) { rounds.insert(round) }
    }
  }

  /// The last round before this one whose sum has this site's update; −1 for none.
  func lastRound(before round: Int) -> Int { rounds.filter { $0 < round }.max() ?? -1 }

  package func begin() throws {
    // One row that cannot be read must not show by when the part ends.
    if privacy?.plan.target.unit == .record { _ = try localTraining() }
  }

  package func remarks() throws -> [SiteEvent] {
    guard let privacy else { return [] }
    return ownScoreList.suffix(1).map(SiteEvent.scored) + [.spent(try privacy.spent)]
  }

  /// The scores that a site of a private run keeps for itself; none where sums have them.
  package var ownScoreList: [OwnScore] { ownScores?.scores ?? [] }

  package var privacyPlan: PrivacyPlan? { privacy?.plan }

  /// What has been spent so far; nil where the charter asks for no privacy.
  package func privacyReport() throws -> PrivacyReport? { try privacy?.report() }

  package var introduction: SiteIntroduction {
    var introduction = SiteIntroduction(
      entries: model.count, columns: columns, model: model.digest(checkpoint: data.prepared.shape.data.checkpoint),
      columnNames: data.columnDigest, records: 0)
    introduction.groupCheck = groupCheck
    return introduction
  }

  var columns: Int { data.prepared.shape.data.features }

  package func format(of purpose: SumPurpose) throws -> VectorFormat {
    try plan.format(of: purpose, entries: model.count, columns: columns)
  }

  /// Writes what an outside replay needs: the charter with its defaults, orders and starting weights.
  package func writePlan(progress: (Int, Int) throws -> Void) throws {
    try AtomicFile.write(
      Data(plan.charter.yaml().utf8), to: directory.run.root.appending(path: "charter.resolved.yaml").path)
    let steps = data.stepsPerRound
    // Of a join with another group key, which was refused.
    if try directory.isBeforeFirstUpdate { try Directory.remove(directory.run.initialWeights.path) }
    // A plan that stands is left as it is.
    let isPlanned = FileManager.default.fileExists(atPath: directory.run.plan.path)
    let drawn = isPlanned ? nil : try privateSteps()?.drawn(rounds: plan.charter.federation.rounds, of: data)
    try RunSetup.writePlan(
      data.prepared, weights: startingSecret, drawn: drawn,
      rounds: (0..<plan.charter.federation.rounds).map { $0 * steps..<($0 + 1) * steps }, to: directory.run,
      progress: progress)
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

  func startingTensors() throws -> (all: [Tensor<Float>], trained: [Tensor<Float>]) {
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

  /// Writes `model/`: the global model, unmasked.
  package func write(_ vector: [Float], to directory: SiteDirectory) throws {
    let tensors = try model.unmasked(vector[..<model.count])
    try ModelDirectory(directory.run.model).write(
      NamedTensors(zip(model.specifications.map(\.name), tensors).map { ($0, $1) }), shape: data.prepared.shape,
      standardization: try standardization(), names: data.prepared.names,
      origin: .federation(sites: plan.charter.sites.count))
  }
}
