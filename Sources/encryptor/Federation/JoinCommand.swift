import ArgumentParser
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import SiteRole

struct JoinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "join", abstract: "Take part in a federation as one of its sites, until the model is here.",
    discussion: """
      Trains on the site's own rows, which never leave it, and sends masked updates to the aggregator that the charter names. The \
      run directory gets job.resolved.yaml, plan.h5, initial.safetensors, history.jsonl (sums over sites only), model/ and summary.json; with \
      `federation.privacy` also privacy.json and own_scores.jsonl, scores on this site's own rows, which then go nowhere. \
      After a kill, a lost aggregator or Ctrl-C the same command with --resume goes on; the model is the same to the bit as if nothing had \
      happened, as long as the site is back within the charter's patience.

      What the aggregator sees of this site: that it takes part and when; under `aggregation: secure` no update, number of rows or metric \
      but in sums over at least `participation.minimum` sites. What the other sites see: the global model and those sums. What a model \
      gives away of the rows that it was trained on is not changed by any of this, but for `federation.privacy`, which bounds it.

      A site without processors names a provider in its file (`trainer: tcp://…`, `masking:`), whose trainer lists this site's owner.pub: \
      local steps and scores are then computed there, on rows and models under masks of the site's own. That provider must not be in \
      league with any site of the federation: whoever has a model in the clear and masked has the masks, and with them the rows.

      Example:
        encryptor join northeast.yaml --charter charter.yaml --keys keys --group-key keys/group.key --out runs/northeast
      """)

  @Argument(help: "The site's file.", completion: .file(extensions: ["yaml", "yml"]))
  var site: String

  @Option(help: "The federation's charter: the same bytes at every party.", completion: .file())
  var charter: String

  @Option(help: "Directory with owner.key, whose public half the charter names for this site.", completion: .directory)
  var keys: String

  @Option(help: "The key that all sites share, as `encryptor group-key` makes it.", completion: .file())
  var groupKey: String?

  @Option(
    help: "The public key file (trainer.pub) of the provider that the site file names; no other trainer is accepted.",
    completion: .file())
  var trainerKey: String?

  @Option(name: .customLong("out"), help: "The run directory to make.", completion: .directory)
  var output: String

  @Flag(help: "Go on with the run in --out.")
  var resume = false

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Override a key of the site's file (repeatable).", valueName: "key=value"))
  var overrides: [String] = []

  @OptionGroup var listen: ListenOption<SiteWords>
  @OptionGroup var processing: ProcessingOptions<SiteWords>

  func run() throws {
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    let plan = try FederationPlan.load(path: charter)
    let owner = try KeyFile(.owner, in: keys).readKeyPair()
    let specification = try SiteSpecification.load(path: site, charter: plan.charter, overrides: overrides)
    let place = try SitePlace(plan, specification, key: owner.publicKey)
    let group = try SiteFiles.groupKey(groupKey, for: plan)
    let directory = SiteDirectory(root: URL(filePath: output))
    let providerKey = try SiteFiles.providerKey(trainerKey, for: specification)
    if resume { try directory.checkIsRun() } else { try directory.prepare() }
    let lease = try RunHold.take(directory.run, interruption)
    defer { lease.release() }
    try directory.begin(plan, site: place.index, resuming: resume)
    if directory.isFinished {
      print("this run is finished; model: \(directory.run.model.path)")
      return
    }
    let compute = specification.threads.map { Compute(threads: $0) } ?? processing.compute
    let data = try PreparedSite(specification, plan: plan)
    try AtomicFile.write(Data(data.prepared.job.yaml().utf8), to: directory.run.resolvedJob.path)
    KernelNotice.show()
    let progress = SiteProgress(plan, site: nil)
    progress.line(
      "\(plan.charter.name) as \(specification.name): \(QuantityText.count(data.prepared.plan.trainingRows)) rows to train on, "
        + "\(QuantityText.count(data.prepared.plan.validationRows)) to validate on; \(plan.charter.federation.rounds) rounds of "
        + "\(QuantityText.count(data.stepsPerRound)) local steps; strategy \(plan.charter.federation.strategy.kind.rawValue), masking "
        + plan.charter.federation.masking.strength.rawValue)
    var provider: TrainingProvider?
    if let address = specification.provider?.address, let providerKey {
      let trainer = try TrainerPlace(
        endpoint: address, listen: nil, ownerKeys: owner, trainerKey: providerKey, role: "provider's trainer")
      provider = TrainingProvider(
        channel: trainer.channel,
        options: RunOptions(
          compute: compute, patience: .seconds(processing.patience), software: Release.software, peer: trainer.peer),
        isInterrupted: { interruption.isRequested }, observe: { progress.showProvider($0) })
    }
    defer { provider?.channel.close() }
    if let provider {
      for line in ProviderNotice.lines(data.prepared, plan.charter) { progress.line(line) }
      let greeting = try provider.greet()
      progress.line("local steps are made by \(provider.options.peer): \(greeting.software.printable(limit: 80))")
    }
    let work = try SiteWork(
      plan: plan, site: place.index, data: data, group: group, directory: directory, compute: compute,
      provider: provider)
    if let privacy = work.privacyPlan {
      progress.line(try PrivacyText.line(privacy))
      let rows = data.prepared.plan.trainingRows
      if let text = PrivacyText.warning(privacy, sites: plan.charter.sites.count, rows: rows) { progress.line(text) }
    }
    let connection = try TrainerPlace(
      endpoint: plan.charter.aggregator.address, listen: listen.listen, ownerKeys: owner,
      trainerKey: plan.aggregatorKey, role: "aggregator")
    var options = SiteOptions(compute: compute, software: Release.software, peer: connection.peer)
    options.patience = .seconds(processing.patience)
    let clock = ContinuousClock()
    let start = clock.now
    let session = try SiteSession(
      work: work, directory: directory, key: owner, channel: connection.channel, options: options,
      isInterrupted: { interruption.isRequested }, observe: { progress.show($0) })
    defer { progress.end() }
    let (result, records) = try session.run()
    let report = try work.report(
      result, records: records, seconds: start.duration(to: clock.now) / .seconds(1), to: directory
    ) { done, total in
      progress.show(.advanced(done: done, total: total))
    }
    progress.end()
    print(
      FederationSummary(
        records: records, report: report, scores: work.ownScoreList, model: directory.run.model.path
      ).text)
    if let privacy = try work.privacyReport() { print("\n" + PrivacyText.spent(privacy)) }
  }
}

/// Which site of a charter a file and a key are of.
struct SitePlace {
  let index: Int

  /// - Throws: `SiteError.otherRun` when the key is another site's, or nobody's.
  init(_ plan: FederationPlan, _ site: SiteSpecification, key: CurvePublicKey) throws {
    guard let index = plan.charter.index(ofSite: site.name) else {
      throw SiteError.unsupported("the charter has no site \(site.name)")
    }
    guard plan.siteKeys[index] == key else {
      let other = plan.siteKeys.firstIndex(of: key).map { "the site \(plan.charter.sites[$0].name)'s" } ?? "no site's"
      throw SiteError.groupKey(
        "--keys holds \(other) key, and the charter names another one for \(site.name); give the directory whose owner.pub it names"
      )
    }
    self.index = index
  }
}

/// What commands of a federation do with files.
enum SiteFiles {
  static func createDirectory(_ path: String) throws {
    try Directory.create(path)
  }

  /// The group's key where the charter needs one.
  static func groupKey(_ path: String?, for plan: FederationPlan) throws -> GroupKey? {
    let strength = plan.charter.federation.masking.strength
    switch (path, strength) {
    case (nil, .none): return nil
    case (nil, _):
      throw SiteError.groupKey(
        "the charter's federation.masking.strength is \(strength.rawValue), which needs the sites' common key: give --group-key FILE"
      )
    case (_, .none):
      throw SiteError.groupKey("the charter masks nothing (federation.masking.strength: none); leave --group-key out")
    case (let path?, _): return try GroupKeyFile(path: path).read()
    }
  }

  /// The key of the provider that a site's file names.
  ///
  /// - Parameter path: given on the command line; the site file's otherwise.
  /// - Returns: nil where the site trains itself.
  /// - Throws: `SiteError.unsupported` where one is missing, or is for nobody; what reading throws.
  static func providerKey(_ path: String?, for site: SiteSpecification) throws -> CurvePublicKey? {
    guard let provider = site.provider else {
      if path == nil { return nil }
      throw SiteError.unsupported(
        "--trainer-key is for a site file with `trainer:`, and this one has none; leave it out")
    }
    guard let file = path ?? provider.key else {
      throw SiteError.unsupported(
        "the site file names the trainer \(provider.address) and not its key: give --trainer-key FILE, or `trainer_key` in the site file"
      )
    }
    return try KeyFile.readPublicKey(at: file)
  }
}
