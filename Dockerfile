# Runs the leaderboard, or any other command that is given:
#   docker build -t hf-transfer-score . && docker run -p 7860:7860 -v results:/data hf-transfer-score
#   docker run -e HF_TOKEN -v results:/data hf-transfer-score worker --requests OWNER/requests --results OWNER/results
# For a machine without a GPU, build it with --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, the index of PyTorch's CPU builds.
FROM python:3.12-slim
ARG PIP_EXTRA_INDEX_URL
WORKDIR /package
COPY pyproject.toml README.md LICENSE ./
COPY hf_transfer_score hf_transfer_score
RUN pip install --no-cache-dir ".[space,sound]" && useradd --create-home reader && mkdir /data && chown reader /data
USER reader
ENV HF_HOME=/data/huggingface HF_TRANSFER_SCORE_HOME=/data/transfer_score
WORKDIR /data
VOLUME /data
EXPOSE 7860
ENTRYPOINT ["hf-transfer-score"]
CMD ["leaderboard", "--host", "0.0.0.0", "--port", "7860"]
