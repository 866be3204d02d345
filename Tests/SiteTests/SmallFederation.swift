import Datasets
import Federation
import Files
import Foundation
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import SiteRole
import TestSupport

@testable import JobSpec

/// Sites with a few rows of three columns each, drawn from numbers that depend on the site alone; or with files of a test's own.
struct SmallFederation {
  static let columns = ["10", "20", "30"]

  let directory: TemporaryDirectory
  private(set) var plan: FederationPlan
  let siteKeys: [CurveKeyPair]
  let aggregatorKeys: CurveKeyPair
  var group = GroupKey()
  let rows: [Int]
  private let text: String
  private let siteData: [String]?
  /// Whether sites draw their starting weights from the group's key although nothing is masked.
  private var startsFromGroup = false
  /// Of the aggregator's store and the run directories, to run once more beside an earlier run.
  var place = ""
  var threads = 1

  /// - Parameters:
  ///   - rows: of each site; one in five is held out.
  ///   - model: of the charter; nil for a perceptron of `hidden` units.
  ///   - data: of the charter.
  ///   - siteData: of each site's file, whose data the test writes itself; nil for files of this fixture.
  ///   - masking: further keys of `masking`.
  ///   - settings: further lines of `federation`.
  init(
    rows: [Int] = [17, 40, 9], task: String = "regression", rounds: Int = 2, local: String = "{updates: 3}",
    strategy: String = "{name: fedavg, weighting: rows}", labels: String = "ill, well", strength: String = "rotation",
    aggregation: String = "secure", standardize: String = "none", hidden: String = "[]", batch: Int = 4,
    updateClip: Double = 8, participation: String = "{minimum: 2}", model: String? = nil, data: String? = nil,
    siteData: [String]? = nil, masking: String = "", settings: [String] = [],
    optimizer: String = "{name: sgd, lr: 0.05, momentum: 0}", schedule: String? = nil
  ) throws {
    directory = try TemporaryDirectory()
    self.rows = rows
    self.siteData = siteData
    let names = rows.indices.map { "site\($0)" }
    let classes = task == "classification" ? "classes: [\(labels)], " : ""
    let lines =
      [
        "name: small", "aggregator: {address: \"tcp://127.0.0.1:5590\", key: aggregator.pub}",
        "sites: [\(names.map { "{name: \($0), key: \($0).pub}" }.joined(separator: ", "))]",
        "data: " + (data ?? "{\(Self.columnList), \(classes)standardize: \(standardize)}"), "task: \(task)",
        "model: " + (model ?? "{mlp: {hidden: \(hidden)\(hidden == "[]" ? "" : ", activation: tanh")}}"),
        "optimizer: \(optimizer)", "train: {batch: \(batch)}",
      ]
      + (schedule.map { ["schedule: \($0)"] } ?? []) + ["federation:"]
      + ([
        "strategy: \(strategy)", "rounds: \(rounds)", "local: \(local)", "participation: \(participation)",
        "fixed_point: {update_clip: \(updateClip), rows_bound: 1024, statistics_bound: 1.0e6}",
        "aggregation: \(aggregation)",
        "masking: {strength: \(strength)\(masking)}",
      ] + settings).map { "  " + $0 }
    text = lines.joined(separator: "\n")
    let bytes = Array(text.utf8)
    siteKeys = try rows.map { _ in try CurveKeyPair.generate() }
    aggregatorKeys = try CurveKeyPair.generate()
    plan = try FederationPlan(
      Charter.Loaded(
        charter: try Charter.parse(bytes: bytes, directory: directory.path, workingDirectory: directory.path),
        bytes: bytes),
      siteKeys: siteKeys.map(\.publicKey), aggregatorKey: aggregatorKeys.publicKey)
    if siteData == nil {
      for site in rows.indices { try write(site) }
    }
  }

  /// `columns` of a charter's data.
  static var columnList: String { "columns: [\(columns.map { "\"\($0)\"" }.joined(separator: ", "))]" }

  /// The same federation in the clear: sums are plain and nothing is masked, but the id that orders of rows are drawn from is the same, and so
  /// are the group's key that starting weights are drawn from, and the keys.
  func inTheClear() throws -> SmallFederation {
    var copy = try changed("clear-") { text in
      text.replacing("aggregation: secure", with: "aggregation: plain")
        .replacing(/masking: \{strength: [^}]*\}/, with: "masking: {strength: none}")
    }
    copy.startsFromGroup = true
    return copy
  }

  /// The same federation under another charter with the same id, from which orders, starting weights and keys follow.
  func changed(_ place: String, _ change: (String) -> String) throws -> SmallFederation {
    var copy = self
    copy.plan = try FederationPlan(
      Charter.Loaded(
        charter: try Charter.parse(
          bytes: Array(change(text).utf8), directory: directory.path, workingDirectory: directory.path),
        bytes: Array(text.utf8)),
      siteKeys: siteKeys.map(\.publicKey), aggregatorKey: aggregatorKeys.publicKey)
    copy.place = place
    return copy
  }

  /// Features and targets of a site's rows, in the charter's order of columns.
  func values(of site: Int) -> (features: [[Double]], targets: [Double]) {
    var generator = SplitMix(seed: UInt64(100 + site))
    var features: [[Double]] = []
    var targets: [Double] = []
    for _ in 0..<rows[site] {
      let row = Self.columns.indices.map { _ in Double(generator.nextValue() as Float) }
      features.append(row)
      targets.append(Double(Float(row[0] - 2 * row[1] + 0.5 + 0.1 * Double(generator.nextValue() as Float))))
    }
    return (features, targets)
  }

  func file(_ site: Int) -> String { directory.file("site\(site).h5") }

  /// - Parameter order: of the file's columns, as places in the charter's.
  func write(
    _ site: Int, order: [Int] = [2, 0, 1], names: [Int64]? = nil, namesAt path: String = "columns",
    labels: [Int64]? = nil, replacing: (row: Int, column: Int, value: Double)? = nil,
    changing change: (inout [[Double]]) -> Void = { _ in }
  ) throws {
    let writer = try HDF5Writer(path: file(site))
    let targets = values(of: site).targets
    var features = values(of: site).features
    if let replacing { features[replacing.row][replacing.column] = replacing.value }
    change(&features)
    try writer.createMatrix("x", columns: order.count, of: Float.self)
    try writer.append(features.flatMap { row in order.map { Float(row[$0]) } }, to: "x")
    try writer.write(names ?? order.map { Int64(Self.columns[$0]) ?? 0 }, to: path)
    try writer.write(labels ?? targets.map { $0 > 0.5 ? 1 : 0 }, to: "class")
    try writer.write(targets.map { Float($0) }, to: "y")
    try writer.commit()
  }

  /// - Parameter masking: strength of the masks for a provider; nil for a site that trains itself.
  func specification(
    _ site: Int, columns: String = "columns", masking: String? = nil
  ) throws -> SiteSpecification {
    let provider = masking.map { "\ntrainer: tcp://127.0.0.1:1\nmasking: {strength: \($0)}" } ?? ""
    let labels = plan.charter.task == .classification ? "class" : "y"
    let own =
      "{file: \(file(site)), features: x, columns: \(columns), labels: \(labels), split: {validation: 0.2, seed: 1}}"
    let text = "name: site\(site)\ndata: \(siteData?[site] ?? own)\(provider)"
    return try SiteSpecification.parse(
      bytes: Array(text.utf8), source: "site", overrides: [], directory: directory.path,
      workingDirectory: directory.path, charter: plan.charter, checkFiles: true)
  }

  func data(_ site: Int, columns: String = "columns", masking: String? = nil) throws -> PreparedSite {
    try PreparedSite(specification(site, columns: columns, masking: masking), plan: plan)
  }

  func runDirectory(_ site: Int, run: String = "run") -> SiteDirectory {
    SiteDirectory(root: directory.url("\(place)\(run)\(site)"))
  }

  var compute: Compute { Compute(threads: threads) }

  /// Nil where the charter masks nothing, unless starting weights are drawn from it nonetheless.
  var usedGroup: GroupKey? {
    plan.charter.federation.masking.strength == .none && !startsFromGroup ? nil : group
  }

  /// A site that is ready to work, in a run directory of its own.
  ///
  /// - Parameter masking: as of `specification`; goes with a provider.
  func work(
    _ site: Int, group: GroupKey? = nil, secret: PrivacySecret? = nil, run: String = "run", resuming: Bool = false,
    provider: TrainingProvider? = nil, masking: String? = nil
  ) throws -> SiteWork {
    let place = runDirectory(site, run: run)
    try place.open(plan, site: site, resuming: resuming)
    return try SiteWork(
      plan: plan, site: site, data: try data(site, masking: masking),
      group: usedGroup.map { group ?? $0 }, directory: place, compute: compute, secret: secret,
      provider: provider)
  }
}
