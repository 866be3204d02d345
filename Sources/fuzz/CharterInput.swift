import Foundation
import JobSpec

/// Input bytes as a charter, and as a site's file under charters of each kind of model.
enum CharterInput {
  static func run(_ input: Data) {
    let bytes = Array(input)
    if let charter = charter(bytes) {
      precondition(
        self.charter(Array(charter.yaml().utf8)) == charter, "a resolved charter changed when it was read again")
    }
    for charter in charters {
      guard let site = site(bytes, charter) else { continue }
      precondition(
        site == self.site(Array(site.yaml().utf8), charter), "a resolved site changed when it was read again")
      // The site's part as a job, which a run writes down.
      let job = charter.job(for: site)
      let again = try? JobSpecification.parse(bytes: Array(job.yaml().utf8))
        .resolved(jobDirectory: "/jobs", workingDirectory: "/jobs", checkFiles: false)
      precondition(again == job, "a site's job changed when it was read again")
    }
  }

  private static func charter(_ bytes: [UInt8]) -> Charter? {
    try? Charter.parse(bytes: bytes, directory: "/charters", workingDirectory: "/charters")
  }

  private static func site(_ bytes: [UInt8], _ charter: Charter) -> SiteSpecification? {
    try? SiteSpecification.parse(bytes: bytes, directory: "/sites", workingDirectory: "/sites", charter: charter)
  }

  private static let charters = charterTexts.compactMap { charter(Array($0.utf8)) }

  static let seeds: [Data] = (charterTexts + siteTexts).map { Data($0.utf8) }

  private static let charterTexts = [
    """
    name: tcga-brca
    aggregator: {address: tcp://127.0.0.1:5590, key: keys/aggregator.pub}
    sites:                                     # the order is the order of every sum
      - {name: a, key: keys/a.pub}
      - {name: b, key: keys/b.pub}
      - {name: c, key: "/keys/\\u00e9.pub"}
    data: {columns: [age, 'sex: male'], standardize: pooled}
    task: survival
    model: {mlp: {hidden: []}}
    optimizer: {name: sgd, lr: 0.01, momentum: 0}
    schedule: {warmup: 0.1, decay: cosine}
    train: {batch: 8, seed: 1, keep: last}
    federation:
      strategy: {name: fedyogi, server_lr: 0.1, betas: [0.9, 0.999], tau: 1.0e-8, weighting: equal}
      rounds: 5
      local: {updates: 100}
      participation: {minimum: 2, fraction: 1.0, patience: 600}
      fixed_point: {update_clip: 8.0, rows_bound: 1048576, statistics_bound: 1.0e6}
      aggregation: secure
      threshold: 3
      masking: {strength: permutation}
      stop: {patience: 3}
    """,
    """
    name: t
    aggregator: {address: tcp://[::1]:1, key: g}
    sites: [{name: a, key: a}, {name: b, key: b}]
    data: {classes: [x, "1"]}
    task: classification
    model: {huggingface: m, head: {pool: cls}, train: lora, lora: {rank: 2, alpha: 4, targets: [query]}}
    optimizer: {lr: 1, momentum: 0}
    federation:
      strategy: {name: scaffold}
      rounds: 1
      local: {full: true}
      fixed_point: {control_clip: 2}
      masking: {base_model: public}
    """,
    """
    name: p
    aggregator: {address: tcp://h:1, key: g}
    sites: [{name: a, key: a}, {name: b, key: b}]
    data: {columns_file: c, standardize: site}
    task: regression
    model: {mlp: {hidden: [3]}}
    optimizer: {lr: 1}
    federation: {rounds: 1, local: {epochs: 2}, privacy: {unit: site, clip_norm: 1, epsilon: 3, delta: 1e-5, colluders: 1}}
    """,
  ]

  private static let siteTexts = [
    """
    name: a
    data: {file: s.h5, features: x, columns: columns, time: days, event: event, split: {by: test, modulo: 2, equals: 1}}
    threads: 2
    local_baseline: true
    """,
    """
    name: b
    data: {file: s.h5, tokens: ids, mask: m, types: t, labels: y, split: {validation_rows: v}}
    trainer: tcp://127.0.0.1:5570
    trainer_key: trainer.pub
    """,
    "{name: a, data: {file: s.h5, features: x, labels: y, split: {validation: 0.5, seed: 1}}}",
  ]
}
