"""A profile on the miniature with so few steps and pictures that a whole chain takes seconds, as its file's text."""

PROFILE = """
base_model: miniature
device: cpu
dtype: float32
size_divisor: 4
max_sequence_length: 64
super_resolution: realesr-animevideov3-x4
training: {learning_rate: 1.0e-3, epochs: 1, repeats: 2, batch_size: 2, max_steps: 8, init_r: 6, target_r: 3,
           allocate_every: 1, checkpoint_every: 2}
evaluation: {rows: 2, samples: 2, num_inference_steps: 2, far_prompts: [a bowl of fruit], far_samples: 1,
             strengths: []}
gate: {better_than_base: [], max_drift: 1, max_suspects: 100, not_worse_than_published: false}
"""
