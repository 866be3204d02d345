import Foundation

/// Job specifications that use every key between them.
enum JobSeeds {
  static let inputs: [Data] = [
    """
    name: tox21
    trainer: tcp://127.0.0.1:5570
    data:
      file: tox21.h5
      features: fingerprints            # a comment
      labels: "obs[bulk_labels]"
      split: {validation: 0.2, seed: 7}
      standardize: false
    task: multilabel
    model:
      mlp: {hidden: [512, 128], activation: relu}
    masking: {strength: rotation, padding: 1, exact: true}
    loss: {where: owner}
    optimizer: {name: sgd, lr: 0.2, momentum: 0.9, nesterov: true, weight_decay: 0.0, clip_norm: 1.0}
    schedule: {warmup: 0.06, decay: linear}
    train: {epochs: 8, batch: 64, micro_batch: 16, seed: 1, keep: best}
    checkpoint: {every_steps: 100}
    """,
    """
    name: a
    data: {file: "/x\\u00e9\\n.h5", features: 'X''s', labels: y, split: {by: abstract, modulo: 5, equals: 4}}
    task: regression
    model: {mlp: {hidden: []}}
    optimizer: {lr: 1e-3, name: adamw, clip_norm: none}
    masking: {strength: permutation, adapter: {width: 40}, noise: {sigma: 0.25}}
    audit:
      gate: {known_rows_min: 32, spectral_recovery_max: 0.1, source_separation_max: 0.1, linkage_max: 0.01, key_error_min: 0.5,
             token_recovery_max: 0.05, label_information_max: 0.2, matching_max: 0.6, membership_max: 0.02}
    """,
    """
    ---
    name: b
    data:
      file: |
        a
      features: >-
        b
        c
      labels: ~
      split:
        validation_rows: split/v
    task: classification
    model:
      mlp:
        hidden:
          - 3
          - 0x10
        activation: tanh
    loss: {where: trainer}
    optimizer: {lr: .5, name: muon, momentum: 0.95}
    schedule: {decay: cosine}
    ...
    """,
  ].map { Data($0.utf8) }
}
