"""The texts of the reasons that cross the contract, by their names: what the one rule finds wrong, and what the engine
says of a job.
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # What is there.
    "no_model": "There is no model called {typed}: choose one of {choices}.",
    "no_weights": "The weights of {typed} are not on this machine yet: ask whoever runs this bot to fetch them,"
    " or choose"
    " another model.",
    "no_upscalers": "No upscaler is on this machine: ask whoever runs this bot to fetch one.",
    "no_upscaler": "There is no upscaler called {typed}: choose one of {choices}.",
    "no_describers": "No describer is on this machine: ask whoever runs this bot to fetch one.",
    "no_describer": "There is no describer called {typed}: choose one of {choices}.",
    "no_classifiers": "No classifier is on this machine: ask whoever runs this bot to fetch one.",
    "no_classifier": "There is no classifier called {typed}: choose one of {choices}.",
    "no_loras": "There is no LoRA for {model} here: leave `lora` out.",
    "no_lora": "There is no LoRA called {typed} here: choose one of {choices}.",
    "lora_of_others": "The LoRA {typed} does not go with {model}: leave `lora` out, or choose another one.",
    "no_controls": "There is no ControlNet for {model} here: leave `control_image` out.",
    "no_control": "There is no ControlNet called {typed} here: choose one of {choices}.",
    "control_of_others": "The ControlNet {typed} does not go with {model}: leave `control_image` out, or choose"
    " another"
    " one.",
    "no_refiner": "The refiner {typed} is not here any more: ask for a new picture instead.",
    # Words.
    "no_prompt": "The prompt is empty: say what the picture should show.",
    "prompt_chars": "The prompt has {chars} characters and {most} is the most: shorten it.",
    "no_negative": "{model} takes no negative prompt: leave it out, or choose another model.",
    "negative_chars": "The negative prompt has {chars} characters and {most} is the most: shorten it.",
    "style_chars": "The style {style} has too many words, {most} characters are the most: choose another one.",
    "styled_chars": "The prompt has {chars} characters with the words of its style and {most} is the most: shorten it.",
    "weighed_parts": "{count} parts of the prompt are weighed and {most} is the most: weigh fewer.",
    "word_weight": "The weight {value} of {typed} does not fit: choose 0 to {most}, or write \\( and \\) where you"
    " mean"
    " brackets.",
    # Steps.
    "no_sampler": "{model} has no sampler called {typed}: choose one of {choices}.",
    "steps": "Steps {value} does not fit: choose a number from {least} to {most}.",
    "guidance": "Guidance {value} does not fit: choose a number from {least} to {most}.",
    "no_guidance": "{model} takes no guidance: leave it out, or choose another model.",
    "count": "Count {value} does not fit: choose a number from {least} to {most}.",
    "refiner_share": "A refiner takes a share of the steps between 0 and 1, not {value}: ask for a new"
    " picture instead.",
    "seed": "Seed {typed} is not a whole number from 0 to {most}: leave it out for a new one.",
    "variations": "At most {most} variations can be made of variations: start from a new seed.",
    "variation_strength": "The strength {value} of a variation does not fit: choose a number from {least} to {most}.",
    # Sizes.
    "width": "Width {value} does not fit {model}: choose a multiple of {multiple} from {least} to {most}, for example"
    " {near}.",
    "height": "Height {value} does not fit {model}: choose a multiple of {multiple} from {least} to {most},"
    " for example"
    " {near}.",
    "pixels": "{width}x{height} is too large for {model}, which paints up to {most} pixels in all: choose a"
    " smaller width"
    " or height.",
    # From pictures.
    "strength": "Strength {value} does not fit: choose a number from {least} to {most}.",
    "strength_of_nothing": "Strength says how far to go from a picture: give one as `image`, or leave it out.",
    "mask_of_nothing": "A mask says which part of a picture is painted: give the picture too.",
    "mask_size": "The mask has another size than the picture: give one of the same size.",
    "hires_of_mask": "Where a part of a picture is painted there is no second pass: leave `hires` out.",
    "hires_strength": "Hires strength {value} does not fit: choose a number from {least} to {most}.",
    "hires_side": "{model} paints sizes in steps of {multiple} pixels: choose another hires.",
    "hires_smaller": "A second pass paints no smaller pictures than the first: choose a hires of 1 or more.",
    "hires_pixels": "A second pass at {width}x{height} is too large for {model}: choose a hires of {factor} or"
    " less, or a"
    " smaller width or height.",
    # LoRAs and ControlNets.
    "loras": "{count} LoRAs are too many: choose up to {most}.",
    "lora_twice": "The LoRA {typed} comes twice: name it once.",
    "lora_weight": "The weight {value} of a LoRA does not fit: choose a number from {least} to {most}.",
    "control_weight": "Control weight {value} does not fit: choose a number from {least} to {most}.",
    # Grids.
    "cells": "This grid has {count} pictures and {most} is the most: name fewer values.",
    "headings": "The labels of this grid do not fit its pictures: ask for a new /grid.",
    "heading_chars": "A value of this grid is longer than {most} characters: shorten it.",
    "cell": "Every cell of a grid holds one picture, painted from words alone: ask for a new /grid.",
    "grid_pixels": "This grid would have {millions} million pixels and {most} is the most: name fewer values, or"
    " choose a"
    " smaller size.",
    # Enlarging.
    "factor": "Factor {value} does not fit: choose one of {choices}.",
    "no_denoise": "{model} takes no denoise: leave it out, or choose another upscaler.",
    "denoise": "Denoise {value} does not fit: choose a number from {least} to {most}.",
    "no_pixels": "The picture has no pixels: give another one.",
    "enlarged_pixels": "{width}x{height} enlarged so many times would have more than {most} million pixels: choose a"
    " factor of {factor}, or a smaller picture.",
    "enlarged_at_all": "{width}x{height} is too large to be enlarged, {most} million pixels are the most: choose a"
    " smaller"
    " picture.",
    "network_pixels": "{width}x{height} is too large for {model}, which first makes every picture {scale} times"
    " larger:"
    " choose another upscaler or a smaller picture.",
    # Questions about pictures.
    "no_task": "{model} cannot do {typed}: choose one of {choices}.",
    "task_needs_text": "To {task}, say what in the option `text`.",
    "task_takes_no_text": "The task {task} takes no text: leave it out, or choose find or segment.",
    "text_chars": "The text has {chars} characters and {most} is the most: shorten it.",
    "text_signs": "The text cannot have < or > in it: say it in other words.",
    "grow": "The mask's size {value} does not fit: choose a number from {least} to {most}.",
    "few_labels": "Name at least two labels, with commas between them, or choose a set of them.",
    "labels": "There are {count} labels and {most} is the most: leave some out.",
    "no_label": "A label is empty: leave it out.",
    "label_chars": "The label {typed} is longer than {most} characters: shorten it.",
    "label_twice": "The label {typed} comes twice: name it once.",
    "templates": "There are {count} templates and 1 to {most} are taken: ask for a new /classify.",
    "template": "The template {typed} is longer than {most} characters or has no place for the label: ask for a new"
    " /classify.",
    "compared_size": "No picture was painted at {width}x{height}: there is nothing to compare.",
    # What the engine finds wrong with a picture that it works on.
    "input_pixels": "A picture of {width}x{height} pixels is too large: give a smaller one.",
    "input_size": "The picture has another size than it was said to have: try again.",
    "input_broken": "The picture is broken: give it once more.",
    "input_lost": "The picture did not arrive whole: try again.",
    "input_unreadable": "The picture cannot be read from this machine's disk: try again later.",
    "nothing_marked": "Nothing is marked to be painted: name something else, or give another mask.",
    # How jobs end badly.
    "cancelled": "Cancelled.",
    "flagged": "The safety checker held this back, and it errs at times: try other words or another seed.",
    "no_numbers": "Nothing came of it, the model's numbers grew beyond all bounds: try another sampler, less"
    " guidance, or"
    " another model.",
    "nothing_to_see": "There is nothing to be seen.",
    "lora_broken": "The LoRA {lora} is broken, it holds what is no number: leave it out.",
    "lora_unusable": "The LoRA {lora} cannot be used with {model} here: leave it out. The operator can see"
    " why in the log.",
    "upscaler_makes_nothing": "{model} makes nothing of this picture: choose another upscaler.",
    "not_here": "The {kind} {name} is not on this machine: choose another one.",
    "not_loaded": "This model does not load here: choose another one. The operator can see why in the log.",
    "not_encoded": "The pictures could not be encoded: try again.",
    "answer_too_large": "The answer is too large to be sent: ask for less at once, or give a simpler picture.",
    "disk_full": "The result could not be kept, the disk of the machine is full: try again later.",
    "disk_failed": "The result could not be kept, the machine cannot write its files: try again later.",
    "engine_broke": "Something broke inside the engine: try again.",
    "card_failed": "The graphics card failed and is being started again: try again.",
    # Memory.
    "no_room": "The {name} does not fit into the device's memory: choose another one.",
    "no_room_beside": "The {name} does not fit beside what is being painted: try again later.",
    "memory_for_size": "{width}x{height} does not fit into the device's memory: try {smaller}.",
    "memory_full": "The device's memory is full and {width}x{height} is the smallest size of {model}: try again later.",
    "memory_for_hires": "A second pass at {width}x{height} does not fit into the device's memory: try {smaller}.",
    "memory_for_any_hires": "A second pass at {width}x{height} does not fit into the device's memory: leave it out.",
    "memory_for_upscale": "{width}x{height} does not fit into this machine's memory with {model}: try a smaller"
    " picture.",
    "memory_for_tool": "The device's memory is full, {model} does not run now: try again later.",
    "memory_for_comparison": "The device's memory is full, nothing can be compared now: try again later.",
    # What was found, and how pictures were made.
    "no_text_there": "There is no text to be read.",
    "nothing_like_it": "Nothing like {typed} was found.",
    "nothing_there": "Nothing was found.",
    "no_words_for_it": "The model found no words for it.",
    "weights_left_out": "{model} does not weigh words: the weights were left out.",
    "painted_in_tiles": "The memory was full, so this was decoded in tiles.",
    "painted_by_parts": "The memory was full, so this was painted with one part of the model at a time.",
    "painted_by_layers": "The memory was full, so this was painted with one layer of the model at a time.",
}
